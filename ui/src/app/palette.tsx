import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { projectsOfQuery, queuesQuery } from "../api/queries";
import type { Job } from "../api/types";
import { say } from "../components/notice";
import { copyText } from "../components/parts";
import { itemState } from "../components/state";
import { jobName } from "../features/item/item-columns";
import { type CommandEntry, fitting, useAllCommands } from "./commands";
import { setDensity } from "./density";
import { type Found, PROJECTS, useFound } from "./found";
import { useMe, useScope } from "./scope";
import { setTheme } from "./theme";

/** Entries that are drawn. */
const MOST = 50;
/** Runs that are drawn, and items: of both there are many that fit. They stand behind jobs and their launch. */
const OF_A_KIND = 12;
const BEHIND = 10;

const keyOf = ({ name, hint = "", also = [] }: CommandEntry) => `${hint} ${name} ${also[0] ?? ""}`;

/** Puts the address on the clipboard and says so. */
async function copyLink() {
  try {
    await copyText(location.href);
    say("The link to this page is copied.");
  } catch {
    say("The browser did not let the link be copied.");
  }
}

/** Everything that can be gone to or done, by typing (Ctrl-K). */
export function Palette({ onClose, signOut }: { onClose: () => void; signOut: () => void }) {
  const navigate = useNavigate();
  const me = useMe();
  const { entities } = useScope();
  const ofScreen = useAllCommands();
  const queues = useQuery(queuesQuery(entities));
  const projects = useQuery(projectsOfQuery(entities));
  const [typed, setTyped] = useState("");
  // By what it is, not by its place: others may come before it while the server answers.
  const [held, hold] = useState<string | null>(null);
  const found = useFound(projects.data ?? [], entities, typed);
  const box = useRef<HTMLDialogElement>(null);

  const commands = useMemo(() => {
    const go = (name: string, to: string, hint = "Go to"): CommandEntry => ({ name, hint, run: () => void navigate(to) });
    return [
      ...ofScreen,
      ...[["Home", "/"], ["Projects", "/projects"], ["Queues", "/launch"], ["Agents", "/agents"], ["Usage", "/usage"], ...(me.admin ? [["Admin", "/admin"]] : []), ["Settings", "/settings"], ["API keys", "/settings/keys"]].map(
        ([name, to]) => go(name!, to!),
      ),
      ...(queues.data ?? []).map((q) => go(`${q.entity} / ${q.name}`, `/launch/${q.entity}/${q.name}/items`, "Queue")),
      ...(projects.data ?? []).map((p) => go(`${p.entity} / ${p.name}`, `/${p.entity}/${p.name}`, "Project")),
      { name: "Copy link to this page", run: () => void copyLink() },
      { name: "Theme: light", run: () => setTheme("light") },
      { name: "Theme: dark", run: () => setTheme("dark") },
      { name: "Theme: as the system", run: () => setTheme("system") },
      { name: "Rows: compact", run: () => setDensity("compact") },
      { name: "Rows: roomy", run: () => setDensity("roomy") },
      { name: "Sign out", run: signOut },
    ];
  }, [ofScreen, me.admin, queues.data, projects.data, navigate, signOut]);

  const named = useNamed(found, ofScreen);
  const fit = useMemo(() => fitting([...commands, ...named.flat()], typed).length, [commands, named, typed]);
  const shown = useMemo(() => fitting([...commands, ...named.flatMap((kind) => fitting(kind, typed, kind[0]?.behind ? OF_A_KIND : MOST))], typed, MOST), [commands, named, typed]);
  const at = Math.max(0, shown.findIndex((command) => keyOf(command) === held));
  const holdAt = (index: number) => hold(shown[index] ? keyOf(shown[index]) : null);

  useEffect(() => {
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  useEffect(() => {
    box.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [at, shown]);

  const run = (command: CommandEntry | undefined) => {
    if (!command) return;
    onClose();
    command.run();
  };

  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions, jsx-a11y/click-events-have-key-events
    <dialog
      ref={box}
      className="palette"
      aria-label="Commands"
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === box.current && onClose()}
    >
      <input
        // The palette is opened in order to type.
        // eslint-disable-next-line jsx-a11y/no-autofocus
        autoFocus
        role="combobox"
        aria-label="Command"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={shown[at] ? `palette-${at}` : undefined}
        placeholder="Go to, launch, stop, copy …"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          hold(null);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") holdAt(Math.min(at + 1, shown.length - 1));
          else if (event.key === "ArrowUp") holdAt(Math.max(at - 1, 0));
          else if (event.key === "Enter") run(shown[at]);
          else return;
          event.preventDefault();
        }}
      />
      <div role="listbox" id="palette-list" aria-label="Commands found">
        {shown.map((command, index) => (
          // The input keeps the focus and handles the keys.
          // eslint-disable-next-line jsx-a11y/click-events-have-key-events
          <div key={keyOf(command)} id={`palette-${index}`} role="option" tabIndex={-1} aria-selected={index === at} onClick={() => run(command)} onMouseMove={() => holdAt(index)}>
            <span className="cut">{command.name}</span>
            <span className="quiet small cut">{command.hint}</span>
          </div>
        ))}
        {fit > shown.length && <div className="menu-label">{(fit - shown.length).toLocaleString("en-US")} more: type on to find them.</div>}
        {shown.length === 0 && <div className="menu-label">{found.looking ? "Looking for it…" : "Nothing is called that."}</div>}
        {found.failed && <div className="menu-label">Not everything could be looked through: the server refused some of it.</div>}
        {typed.trim() !== "" && (projects.data?.length ?? 0) > PROJECTS && <div className="menu-label">Jobs and runs are looked for in the newest {PROJECTS} projects.</div>}
      </div>
    </dialog>
  );
}

/** What the server knows by name, as commands of each kind. */
function useNamed({ jobs, runs, items }: Found, ofScreen: CommandEntry[]): CommandEntry[][] {
  const navigate = useNavigate();
  const go = (to: string) => () => void navigate(to);
  const page = (job: Job) => `/${job.entity}/${job.project}/jobs/${encodeURIComponent(job.name)}`;
  // The page of a job launches the version that it shows.
  const offered = new Set(ofScreen.map((command) => command.name));
  return [
    jobs.map((job) => ({ name: job.name, hint: `Job · ${job.entity}/${job.project}`, run: go(page(job)) })),
    jobs.filter((job) => !offered.has(`Launch ${job.name}`)).map((job) => ({ name: `Launch ${job.name}…`, hint: `Launch · ${job.entity}/${job.project}`, run: go(`${page(job)}?launch=latest`) })),
    runs.map((run) => ({ name: run.name, hint: `Run · ${run.entity}/${run.project}/${run.id} · ${run.state}`, also: [run.id], behind: BEHIND, run: go(`/${run.entity}/${run.project}/runs/${run.id}`) })),
    items.map((item) => ({ name: [jobName(item), item.name ?? item.run].filter(Boolean).join(" · "), hint: `Item · ${item.entity}/${item.queue} · ${itemState(item)}`, also: [item.id, ...(item.run ? [item.run] : [])], behind: BEHIND, run: go(`/launch/${item.entity}/${item.queue}/items?item=${item.id}`) })),
  ];
}
