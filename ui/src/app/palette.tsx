import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { projectsOfQuery, queuesQuery } from "../api/queries";
import { copyText } from "../components/parts";
import { type CommandEntry, rank, useAllCommands } from "./commands";
import { setDensity } from "./density";
import { useMe, useScope } from "./scope";
import { setTheme } from "./theme";

/** Commands that are drawn. */
const DRAWN = 50;

/** Everything that can be gone to or done, by typing (Ctrl-K). */
export function Palette({ onClose, signOut }: { onClose: () => void; signOut: () => void }) {
  const navigate = useNavigate();
  const me = useMe();
  const { entities } = useScope();
  const ofScreen = useAllCommands();
  const queues = useQuery(queuesQuery(entities));
  const projects = useQuery(projectsOfQuery(entities));
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
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
      { name: "Copy link to this page", run: () => void copyText(location.href) },
      { name: "Theme: light", run: () => setTheme("light") },
      { name: "Theme: dark", run: () => setTheme("dark") },
      { name: "Theme: as the system", run: () => setTheme("system") },
      { name: "Rows: compact", run: () => setDensity("compact") },
      { name: "Rows: roomy", run: () => setDensity("roomy") },
      { name: "Sign out", run: signOut },
    ];
  }, [ofScreen, me.admin, queues.data, projects.data, navigate, signOut]);

  const fit = useMemo(
    () =>
      commands
        .map((command) => ({ command, cost: rank(command.name, typed) }))
        .filter((entry): entry is { command: CommandEntry; cost: number } => entry.cost !== null)
        .sort((a, b) => a.cost - b.cost)
        .map((entry) => entry.command),
    [commands, typed],
  );
  const found = useMemo(() => fit.slice(0, DRAWN), [fit]);

  useEffect(() => {
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  useEffect(() => {
    box.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [at, found]);

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
        aria-activedescendant={found[at] ? `palette-${at}` : undefined}
        placeholder="Go to, launch, stop, copy …"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") setAt(Math.min(at + 1, found.length - 1));
          else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
          else if (event.key === "Enter") run(found[at]);
          else return;
          event.preventDefault();
        }}
      />
      <div role="listbox" id="palette-list" aria-label="Commands found">
        {found.map((command, index) => (
          // The input keeps the focus and handles the keys.
          // eslint-disable-next-line jsx-a11y/click-events-have-key-events
          <div key={`${command.hint ?? ""}${command.name}`} id={`palette-${index}`} role="option" tabIndex={-1} aria-selected={index === at} onClick={() => run(command)} onMouseMove={() => setAt(index)}>
            <span className="cut">{command.name}</span>
            <span className="quiet small">{command.hint}</span>
          </div>
        ))}
        {fit.length > DRAWN && <div className="menu-label">{(fit.length - DRAWN).toLocaleString("en-US")} more: type on to find them.</div>}
        {found.length === 0 && <div className="menu-label">Nothing is called that.</div>}
      </div>
    </dialog>
  );
}
