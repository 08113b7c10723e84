/** The frame around every screen: navigation, crumbs, palette, theme. */
import { useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { DropdownMenu } from "radix-ui";
import { type ReactNode, Suspense, useCallback, useEffect, useId, useState } from "react";
import { Link, NavLink, Outlet, useLocation, useNavigate } from "react-router";
import { api, problemOf } from "../api/client";
import { follow, useLiveness } from "../api/live";
import { meQuery, projectsOfQuery, queuesQuery, readyQuery } from "../api/queries";
import { useSessionEnded } from "../api/session";
import { Icon } from "../components/icons";
import { Notices } from "../components/notice";
import { Dialog, IconButton } from "../components/parts";
import { SignedOut } from "../components/signed-out";
import { Loading } from "../components/view";
import { count } from "../format/text";
import { watchLinks } from "./ahead";
import { setDensity, useDensity } from "./density";
import { Palette } from "./palette";
import { useEntitySwitch, useReadOnly } from "./scope";
import { setTheme, useDrawnTheme } from "./theme";

const shortcuts: [string, string][] = [
  ["Ctrl K", "Commands: go to, launch, stop, copy a link, theme"],
  ["/", "Go to the filter, or to the search of a log"],
  ["j k ↓ ↑", "Next and previous row; in the drawer of a row, its neighbours"],
  ["Enter", "Open the row; in the search of a log, the next hit (Shift-Enter: the one before)"],
  ["x", "Select the row"],
  ["Shift click", "On the box of a run: select all runs up to it"],
  ["h", "Hide or show a run's line"],
  ["← →", "Close and open a branch of a tree; move the border between table and charts"],
  ["Ctrl Enter", "Launch, in the launch drawer"],
  ["Esc", "Close what is open"],
  ["?", "This list"],
];

export function Shell() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const [side, setSide] = useState(false);

  useEffect(() => follow(queries), [queries]);
  useEffect(watchLinks, []);
  // The menu of a phone closes when it was used.
  const [seen, setSeen] = useState(pathname);
  if (seen !== pathname) {
    setSeen(pathname);
    setSide(false);
  }

  const signOut = useCallback(() => {
    void api.DELETE("/api/v1/session").finally(() => {
      queries.clear();
      void navigate("/login");
    });
  }, [queries, navigate]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette(true);
        return;
      }
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, [contenteditable], dialog")) return;
      if (event.key === "/") {
        const filter = document.querySelector<HTMLElement>("[data-filter]");
        if (!filter) return;
        event.preventDefault();
        filter.focus();
      } else if (event.key === "j" || event.key === "k") {
        // In a table the rows take these keys themselves.
        const row = target.closest("tr") ? null : document.querySelector<HTMLElement>("#page tbody tr[tabindex]");
        if (!row) return;
        event.preventDefault();
        row.focus();
      } else if (event.key === "?") {
        setHelp(true);
      } else if (event.key === "Escape") {
        setSide(false);
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  return (
    <div className="frame">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      {side && <button type="button" className="veil" aria-label="Close the menu" onClick={() => setSide(false)} />}
      <Side open={side} />
      <div className="main">
        <header className="top">
          <span className="menu-button">
            <IconButton icon="menu" name="Menu" expanded={side} onClick={() => setSide(true)} />
          </span>
          <Crumbs />
          <button type="button" className="button bare" aria-label="Commands" aria-keyshortcuts="Control+K" onClick={() => setPalette(true)}>
            <Icon name="search" />
            <span className="kbd wide-only">Ctrl K</span>
          </button>
          <span className="wide-only">
            <button type="button" className="button bare icon" aria-label="Keyboard help" title="Keyboard help (?)" onClick={() => setHelp(true)}>
              ?
            </button>
          </span>
          <ThemeButton />
          <Account signOut={signOut} />
        </header>
        <main className="page" id="page" tabIndex={-1}>
          <SignedOut />
          <Suspense fallback={<div className="page-body" style={{ paddingTop: 16 }}><Loading height={320} /></div>}>
            <Outlet />
          </Suspense>
        </main>
      </div>
      <Notices />
      {palette && <Palette onClose={() => setPalette(false)} signOut={signOut} />}
      {help && (
        <Dialog title="Keyboard" name="Keyboard" onClose={() => setHelp(false)}>
          <dl className="facts">
            {shortcuts.map(([keys, what]) => (
              <div key={keys} style={{ display: "contents" }}>
                <dt>
                  <kbd className="kbd">{keys}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Dialog>
      )}
    </div>
  );
}

function Side({ open }: { open: boolean }) {
  const me = useSuspenseQuery(meQuery).data;
  const [{ chosen, entities }, choose] = useEntitySwitch();
  const queues = useQuery(queuesQuery(entities));
  const projects = useQuery(projectsOfQuery(entities));
  const liveness = useLiveness();
  const ready = useQuery(readyQuery);
  const isOut = useSessionEnded();
  const trouble = ready.isError ? ([0, 502, 504].includes(problemOf(ready.error).status) ? "The server does not answer" : "The server is not ready") : isOut ? "Signed out" : null;
  // Queues where something waits and nobody takes it.
  const stuck = (queues.data ?? []).filter(
    (queue) => (queue.counts.queued ?? 0) > 0 && !queue.agents.some((agent) => agent.status === "polling" || agent.status === "running"),
  ).length;
  return (
    <div className="side" data-open={open}>
      <Link to="/" className="brand">
        <img src="/favicon.svg" alt="" />
        Lanza
      </Link>
      <div className="entity">
        <label className="hidden-text" htmlFor="entity-switch">
          Entity
        </label>
        <select id="entity-switch" className="select" value={chosen} onChange={(event) => choose(event.target.value)}>
          <option value="">All entities</option>
          {me.entities.map((entity) => (
            <option key={entity.name}>{entity.name}</option>
          ))}
        </select>
      </div>
      <nav aria-label="Main">
        <NavLink to="/" end>
          Home
        </NavLink>
        <NavLink to="/projects">Projects</NavLink>
        <div className="sub">
          {(projects.data ?? []).slice(0, 6).map((project) => (
            <NavLink key={project.id} to={`/${project.entity}/${project.name}`} title={`${project.entity}/${project.name}`}>
              <span className="cut">{project.name}</span>
            </NavLink>
          ))}
        </div>
        <QueuesLink stuck={stuck} />
        <NavLink to="/agents">Agents</NavLink>
        <NavLink to="/usage">Usage</NavLink>
        {me.admin && <NavLink to="/admin">Admin</NavLink>}
      </nav>
      <div className="foot" role="status">
        {trouble ? <span style={{ color: "var(--red)" }}>{trouble}</span> : liveness === "live" ? "Live" : liveness === "polling" ? "Asking every few seconds" : "Paused"}
        {ready.data && <span title={`The server is ${ready.data.status}`}> · v{ready.data.version}</span>}
      </div>
    </div>
  );
}

/** The link to the queues. Its name never changes; how many of them are stuck is its description. */
export function QueuesLink({ stuck }: { stuck: number }) {
  const id = useId();
  if (stuck === 0) return <NavLink to="/launch">Queues</NavLink>;
  const words = `${count(stuck, "queue")} with waiting items and no live agent`;
  return (
    <>
      <NavLink to="/launch" aria-describedby={id}>
        <span>Queues</span>
        <span className="alarm" title={words} aria-hidden="true">
          {stuck} !
        </span>
      </NavLink>
      <span id={id} hidden>
        {words}
      </span>
    </>
  );
}

/** A part of an address in its letters; one that is no text stays as it is. */
function readable(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Where the page is, made from its address. */
export function Crumbs() {
  const { pathname } = useLocation();
  const parts = pathname.split("/").filter(Boolean).map(readable);
  const crumbs: [string, string][] = [];
  const [first, second, third, fourth] = parts;
  const url = (...words: (string | undefined)[]) => `/${words.map((word) => encodeURIComponent(word ?? "")).join("/")}`;
  if (!first) crumbs.push(["Home", "/"]);
  else if (first === "launch") {
    crumbs.push(["Queues", "/launch"]);
    if (second && third) crumbs.push([second, "/launch"], [third, url("launch", second, third)]);
  } else if (first === "authorize") {
    crumbs.push(["API key", "/authorize"]);
  } else if (["agents", "usage", "admin", "settings", "projects"].includes(first)) {
    crumbs.push([first[0]!.toUpperCase() + first.slice(1), `/${first}`]);
  } else {
    crumbs.push([first, `/${first}`]);
    if (second) crumbs.push([second, url(first, second)]);
    if (third) {
      const word = third[0]!.toUpperCase() + third.slice(1);
      crumbs.push([word, third === "runs" ? url(first, second) : url(first, second, third)]);
    }
    if (fourth) crumbs.push([parts.slice(3).join(" / "), pathname]);
  }
  return (
    <nav aria-label="Breadcrumb" className="grow">
      <ol className="crumbs">
        {crumbs.map(([name, to], index) => (
          <li key={to + name}>{index === crumbs.length - 1 ? <span className="cut">{name}</span> : <Link to={to}>{name}</Link>}</li>
        ))}
      </ol>
    </nav>
  );
}

function ThemeButton() {
  const drawn = useDrawnTheme();
  return <IconButton icon="theme" name="Theme" onClick={() => setTheme(drawn === "dark" ? "light" : "dark")} />;
}

function Account({ signOut }: { signOut: () => void }) {
  const readOnly = useReadOnly();
  const density = useDensity();
  const me = useSuspenseQuery(meQuery).data;
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>
        <button type="button" className="button bare" aria-label={`Account of ${me.username}`}>
          {me.username.slice(0, 2).toUpperCase()}
        </button>
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
          <div className="menu-label">
            {me.username}
            {me.admin ? " · admin" : ""}
            {readOnly ? " · reads only" : ""}
          </div>
          <DropdownMenu.Item asChild>
            <Link to="/settings">Settings</Link>
          </DropdownMenu.Item>
          <DropdownMenu.Item asChild>
            <Link to="/settings/keys">API keys</Link>
          </DropdownMenu.Item>
          <DropdownMenu.CheckboxItem checked={density === "compact"} onCheckedChange={(compact) => setDensity(compact ? "compact" : "roomy")}>
            Compact rows
            <DropdownMenu.ItemIndicator>✓</DropdownMenu.ItemIndicator>
          </DropdownMenu.CheckboxItem>
          <DropdownMenu.Item onSelect={signOut}>Sign out</DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

/** A page's head: its title, what stands beside it, and its one primary action at the right. */
export function PageHead({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Lanza`;
  }, [title]);
  return (
    <div className="page-head">
      <h1>{title}</h1>
      <div className="row wrap grow">{children}</div>
      <div className="row wrap">{action}</div>
    </div>
  );
}
