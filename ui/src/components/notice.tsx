/** What was just done, with a way back where the server has one: at the foot of the page for a while, longer while one is at it.
    A warning stays until it is dismissed. */
import { useEffect, useState, useSyncExternalStore } from "react";
import { problemOf } from "../api/client";
import { IconButton } from "./parts";

interface Notice {
  id: number;
  text: string;
  undo: (() => Promise<unknown>) | null;
  warns: boolean;
}

/** How long a notice stays, in milliseconds. */
const STAYS = 10_000;
/** Notices at once; older ones go, but no warnings. */
const MOST = 3;

let notices: Notice[] = [];
let last = 0;
const watchers = new Set<() => void>();

function set(next: Notice[]) {
  const passing = next.filter((notice) => !notice.warns).slice(-MOST);
  notices = next.filter((notice) => notice.warns || passing.includes(notice));
  watchers.forEach((watch) => watch());
}

/** Says what was done. `undo` brings back what was. */
export function say(text: string, undo: (() => Promise<unknown>) | null = null) {
  last++;
  set([...notices, { id: last, text, undo, warns: false }]);
}

/** Says what is not well about what was done; what is said already is not said twice. */
export function warn(texts: string[]) {
  for (const text of texts) {
    last++;
    set([...notices.filter((notice) => !notice.warns || notice.text !== text), { id: last, text, undo: null, warns: true }]);
  }
}

const drop = (id: number) => set(notices.filter((notice) => notice.id !== id));

export function Notices() {
  const all = useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => notices,
  );
  return (
    <div className="notices" role="status" aria-label="Notices">
      {all.map((notice) => (
        <One key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function One({ notice }: { notice: Notice }) {
  const [held, setHeld] = useState(false);
  const [state, setState] = useState<{ busy: boolean; failed: string | null }>({ busy: false, failed: null });
  const stays = notice.warns || held || state.busy || state.failed !== null;
  useEffect(() => {
    if (stays) return;
    const timer = setTimeout(() => drop(notice.id), STAYS);
    return () => clearTimeout(timer);
  }, [notice.id, stays]);
  const undo = async () => {
    setState({ busy: true, failed: null });
    try {
      await notice.undo?.();
      drop(notice.id);
    } catch (error) {
      setState({ busy: false, failed: problemOf(error).message });
    }
  };
  return (
    <div className="notice" onPointerEnter={() => setHeld(true)} onPointerLeave={() => setHeld(false)} onFocus={() => setHeld(true)} onBlur={() => setHeld(false)}>
      <span>
        {notice.warns && <strong>Warning: </strong>}
        {notice.text}
        {state.failed !== null && <span className="wrong"> It could not be undone: {state.failed}</span>}
      </span>
      {notice.undo && (
        <button type="button" className="button" disabled={state.busy} onClick={() => void undo()}>
          Undo
        </button>
      )}
      <IconButton icon="close" name="Dismiss" onClick={() => drop(notice.id)} />
    </div>
  );
}
