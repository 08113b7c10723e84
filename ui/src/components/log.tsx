/** A log: live, coloured, searchable, drawn only where it is looked at. */
import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { count } from "../format/text";
import { pieces } from "./ansi";
import { LogSource, searchLog } from "./log-source";
import { earlier, endOf, holding, later, MOST_ROWS } from "./log-window";
import { Failure } from "./view";

const ROW = 18;
/** Rows drawn beyond what is seen, on either side. */
const MARGIN = 40;
/** Wrapped lines have heights of their own: so many are laid out. */
const WRAPPED = 1_500;

/** The line that the address names. */
function namedLine(): number | null {
  const found = /^#L(\d+)$/.exec(globalThis.location?.hash ?? "");
  return found ? Number(found[1]) : null;
}

/** `path` is a route that answers text, parts of it, and events with `follow=true`. */
export function Log({ path, name = "Log", file, height = 360, onLink }: {
  path: string;
  name?: string;
  file: string;
  height?: number | string;
  /** Puts `#LN` into the address, with what else names this log. */
  onLink?: (hash: string) => void;
}) {
  const source = useMemo(() => new LogSource(path), [path]);
  useEffect(() => source.open(), [source]);
  useSyncExternalStore(source.watch, () => source.version);
  const [follow, setFollow] = useState(() => namedLine() === null);
  const [wrap, setWrap] = useState(false);
  const [target, setTarget] = useState<{ line: number } | null>(() => {
    const line = namedLine();
    return line ? { line } : null;
  });
  const goTo = useCallback((line: number) => {
    setFollow(false);
    setTarget({ line });
  }, []);
  const link = (line: number) => {
    const hash = `#L${line}`;
    if (onLink) onLink(hash);
    else history.replaceState(history.state, "", hash);
    goTo(line);
  };

  return (
    <div className="log-box" style={{ height }}>
      <div className="log-tools">
        <Search path={path} version={source.ended ? 0 : Math.floor(source.total / 1000)} onLine={goTo} />
        <span className="grow" />
        <span className="small quiet num">
          {count(source.total, "line")}
          {source.ended ? "" : source.broken ? " · connecting again" : source.opened ? " · live" : ""}
          {source.skipped > 0 && <span title="They came faster than one can read. All are kept: scroll up to them."> · {source.skipped.toLocaleString("en-US")} skipped</span>}
        </span>
        <label className="row small" style={{ gap: 4 }}>
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.target.checked)} /> Follow
        </label>
        <label className="row small" style={{ gap: 4 }}>
          <input type="checkbox" checked={wrap} onChange={(event) => setWrap(event.target.checked)} /> Wrap
        </label>
        <a className="button" href={path} download={file}>
          Download
        </a>
      </div>
      {source.failure !== null && <Failure error={source.failure} retry={source.again} />}
      {wrap ? <Wrapped name={name} source={source} follow={follow} onFollow={setFollow} target={target} onLine={link} /> : <Rows name={name} source={source} follow={follow} onFollow={setFollow} target={target} onLine={link} />}
    </div>
  );
}

interface ViewProps {
  name: string;
  source: LogSource;
  follow: boolean;
  onFollow: (follow: boolean) => void;
  target: { line: number } | null;
  onLine: (line: number) => void;
}

/** Lines of one height: only those in view exist. */
function Rows({ name, source, follow, onFollow, target, onLine }: ViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 400 });
  const total = source.total;
  // Where the window begins while one does not follow; then it stays, however long the log becomes.
  const [held, setHeld] = useState<number | null>(null);
  const [wanted, setWanted] = useState<{ line: number } | null>(null);
  const before = follow ? endOf(total) : (held ?? endOf(total));
  const rows = Math.min(total - before, MOST_ROWS);
  if (follow ? held !== null : held === null && source.opened) setHeld(follow ? null : before);
  if (wanted !== target && source.opened) {
    setWanted(target);
    if (target) setHeld(holding(before, target.line, total));
  }
  const from = Math.max(0, Math.floor(view.top / ROW) - MARGIN);
  const to = Math.min(rows, Math.ceil((view.top + view.height) / ROW) + MARGIN);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setView((now) => ({ ...now, height: element.clientHeight })));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    // Not what is seen for an instant before it scrolls to the end.
    if (box.current && Math.abs(box.current.scrollTop - view.top) > ROW) return;
    source.need(before + from + 1, before + to);
  });
  useLayoutEffect(() => {
    const element = box.current;
    if (follow && element) {
      element.scrollTop = element.scrollHeight;
      setView((now) => (now.top === element.scrollTop ? now : { ...now, top: element.scrollTop }));
    }
    source.seen(Math.ceil((element?.clientHeight ?? 0) / ROW), follow);
    // New lines and the wish to follow scroll, nothing else does.
  }, [total, follow, source]);
  useLayoutEffect(() => {
    const element = box.current;
    if (!target || !element || !source.opened) return;
    element.scrollTop = Math.max(0, (target.line - before - 1) * ROW - element.clientHeight / 2);
    // Once for each wish, when the log is there.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [target, source.opened]);

  // The line at the top stays there when the window moves.
  const scrollTo = useRef<number | null>(null);
  useLayoutEffect(() => {
    if (scrollTo.current !== null && box.current) box.current.scrollTop = scrollTo.current;
    scrollTo.current = null;
  }, [before]);
  const move = (next: number) => {
    scrollTo.current = Math.max(0, (box.current?.scrollTop ?? 0) + (before - next) * ROW);
    onFollow(false);
    setHeld(next);
  };

  return (
    <div
      ref={box}
      className="log"
      role="log"
      aria-label={name}
      // A log scrolls, so the keyboard must reach it.
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      onScroll={(event) => {
        const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
        setView({ top: scrollTop, height: clientHeight });
        if (follow && scrollHeight - scrollTop - clientHeight > 3 * ROW) onFollow(false);
      }}
    >
      {total === 0 && <Nothing source={source} />}
      {before > 0 && (
        <button type="button" className="link log-note" onClick={() => move(earlier(before))}>
          Show earlier lines
        </button>
      )}
      <div style={{ height: rows * ROW, position: "relative", width: `calc(${source.widest}ch + 80px)`, minWidth: "100%" }}>
        {Array.from({ length: Math.max(0, to - from) }, (_, index) => before + from + index + 1).map((number) => (
          <Line key={number} number={number} source={source} hit={target?.line === number} top={(number - before - 1) * ROW} onLine={onLine} />
        ))}
      </div>
      {before + rows < total && (
        <button type="button" className="link log-note" onClick={() => move(later(before, total))}>
          Show later lines
        </button>
      )}
    </div>
  );
}

/** Lines of any height: the last ones, or those around the line that was asked for. */
function Wrapped({ name, source, follow, onFollow, target, onLine }: ViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const [first, setFirst] = useState<number | null>(target && !follow ? Math.max(1, target.line - WRAPPED / 2) : null);
  const [wanted, setWanted] = useState(target);
  if (wanted !== target) {
    setWanted(target);
    if (target) setFirst(Math.max(1, target.line - WRAPPED / 2));
  }
  const total = source.total;
  const from = follow || first === null ? Math.max(1, total - WRAPPED + 1) : first;
  const to = Math.min(total, from + WRAPPED - 1);
  useEffect(() => {
    source.need(from, to);
  });
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
    source.seen(Math.ceil((box.current?.clientHeight ?? 0) / ROW), follow);
  }, [total, follow, source]);
  useLayoutEffect(() => {
    if (target && !follow) document.getElementById(`L${target.line}`)?.scrollIntoView({ block: "center" });
  }, [target, follow, source.opened]);
  const show = (next: number) => {
    onFollow(false);
    setFirst(Math.max(1, next));
  };
  return (
    <div
      ref={box}
      className="log wrap"
      role="log"
      aria-label={name}
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      onScroll={(event) => {
        const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
        if (follow && scrollHeight - scrollTop - clientHeight > 6 * ROW) {
          // What one looks at stays where it is.
          setFirst(from);
          onFollow(false);
        }
      }}
    >
      {total === 0 && <Nothing source={source} />}
      {from > 1 && (
        <button type="button" className="link log-note" onClick={() => show(from - WRAPPED / 2)}>
          Show earlier lines
        </button>
      )}
      {Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index).map((number) => (
        <Line key={number} number={number} source={source} hit={target?.line === number} top={null} onLine={onLine} />
      ))}
      {to < total && (
        <button type="button" className="link log-note" onClick={() => show(from + WRAPPED / 2)}>
          Show later lines
        </button>
      )}
    </div>
  );
}

function Line({ number, source, hit, top, onLine }: { number: number; source: LogSource; hit: boolean; top: number | null; onLine: (line: number) => void }) {
  const line = source.line(number);
  return (
    <div id={`L${number}`} className={`line ${hit ? "hit" : ""} ${line?.level === "error" ? "error-level" : ""}`} style={top === null ? undefined : { position: "absolute", top: 0, left: 0, minWidth: "100%", height: ROW, transform: `translateY(${top}px)` }}>
      <a
        href={`#L${number}`}
        aria-label={`Line ${number}`}
        tabIndex={-1}
        onClick={(event) => {
          event.preventDefault();
          onLine(number);
        }}
      >
        {number}
      </a>
      <span>
        {line === undefined
          ? ""
          : pieces(line.text).map((piece, index) => (
              <span key={index} className={piece.classes || undefined}>
                {piece.text}
              </span>
            ))}
      </span>
    </div>
  );
}

function Nothing({ source }: { source: LogSource }) {
  return (
    <div className="quiet" style={{ padding: 12 }}>
      {source.ended ? "Nothing was written." : source.opened ? "Nothing yet." : ""}
    </div>
  );
}

/** The search of the whole log, which the server does: Enter goes to the next hit, Shift-Enter back. */
function Search({ path, version, onLine }: { path: string; version: number; onLine: (line: number) => void }) {
  const [text, setText] = useState("");
  const [sought, setSought] = useState("");
  const [at, setAt] = useState(-1);
  useEffect(() => {
    const timer = setTimeout(() => {
      setSought(text.trim());
      setAt(-1);
    }, 200);
    return () => clearTimeout(timer);
  }, [text]);
  const found = useQuery({
    queryKey: ["log-search", path, sought, version],
    queryFn: ({ signal }) => searchLog(path, sought, signal),
    enabled: sought !== "",
    staleTime: 30_000,
    placeholderData: (before) => before,
  });
  const hits = sought === "" ? [] : (found.data?.hits ?? []);
  const go = (step: number) => {
    if (hits.length === 0) return;
    const next = at < 0 ? (step > 0 ? 0 : hits.length - 1) : (at + step + hits.length) % hits.length;
    setAt(next);
    onLine(hits[next]!.line);
  };
  const place = hits.length === 0 ? (found.isFetching ? "searching…" : "nothing found") : `${at < 0 ? "" : `${at + 1} of `}${hits.length.toLocaleString("en-US")}${found.data?.more ? "+" : ""}`;
  return (
    <>
      <input className="input" type="search" aria-label="Search the log" placeholder="Search" data-filter value={text} onChange={(event) => setText(event.target.value)} onKeyDown={(event) => event.key === "Enter" && go(event.shiftKey ? -1 : 1)} />
      {sought && (
        <>
          <span className="small quiet num" role="status">
            {found.isError ? "the search failed" : place}
          </span>
          <button type="button" className="button bare icon" aria-label="Previous hit" disabled={hits.length === 0} onClick={() => go(-1)}>
            ↑
          </button>
          <button type="button" className="button bare icon" aria-label="Next hit" disabled={hits.length === 0} onClick={() => go(1)}>
            ↓
          </button>
        </>
      )}
    </>
  );
}
