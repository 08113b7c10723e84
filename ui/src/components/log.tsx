/** A log: live, coloured, searchable, drawn only where it is looked at. Lines live outside React, so that thousands a
    second cost one drawing per frame. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { readText } from "../api/client";
import { followLog } from "../api/live";
import { count } from "../format/text";
import { pieces, plainText } from "./ansi";
import { Failure } from "./view";

export interface LogLine {
  number: number;
  text: string;
  level?: string | null;
}

/** Lines that are kept; older ones are counted, and the download has them all. */
const KEPT = 200_000;

/** Holds the lines of one stream. A line that is sent again under its number replaces the first. */
export class LogBuffer {
  lines: LogLine[] = [];
  dropped = 0;
  version = 0;
  ended = false;
  broken = false;
  private watchers = new Set<() => void>();
  private scheduled = false;

  watch = (run: () => void) => {
    this.watchers.add(run);
    return () => this.watchers.delete(run);
  };

  add(line: LogLine) {
    const last = this.lines.at(-1);
    if (last && line.number <= last.number) {
      // Numbers rise, so the place is found from the end.
      for (let i = this.lines.length - 1; i >= 0 && this.lines[i]!.number >= line.number; i--) {
        if (this.lines[i]!.number === line.number) this.lines[i] = line;
      }
    } else {
      this.lines.push(line);
      if (this.lines.length > KEPT + 10_000) {
        this.dropped += this.lines.length - KEPT;
        this.lines = this.lines.slice(-KEPT);
      }
    }
    this.changed();
  }

  end(ended: boolean) {
    this.ended = ended;
    this.broken = !ended;
    this.changed();
  }

  /** Begins anew: the stream is read again from its start. */
  clear() {
    this.lines = [];
    this.dropped = 0;
    this.ended = this.broken = false;
    this.changed();
  }

  private changed() {
    if (this.scheduled) return;
    this.scheduled = true;
    const tell = () => {
      this.scheduled = false;
      this.version++;
      this.watchers.forEach((run) => run());
    };
    if (typeof requestAnimationFrame === "function" && !document.hidden) requestAnimationFrame(tell);
    else setTimeout(tell, 200);
  }
}

interface Sent {
  line: number;
  text: string;
  level?: string | null;
}

/** Follows a log route while the component is drawn and the page is visible. */
function useLog(path: string): { log: LogBuffer; again: () => void } {
  const log = useMemo(() => {
    void path;
    return new LogBuffer();
  }, [path]);
  const [round, setRound] = useState(0);
  const again = useCallback(() => {
    log.clear();
    setRound((n) => n + 1);
  }, [log]);
  useEffect(() => {
    log.clear();
    let retry: ReturnType<typeof setTimeout> | undefined;
    const url = `${path}${path.includes("?") ? "&" : "?"}follow=true`;
    let number = 0;
    const stop = followLog<Sent>(
      url,
      (line) => {
        number = line.line ?? number + 1;
        log.add({ number, text: line.text, level: line.level ?? null });
      },
      (ended) => {
        log.end(ended);
        // The server went away: the stream is read again a moment later.
        if (!ended) retry = setTimeout(again, 5_000);
      },
    );
    return () => {
      clearTimeout(retry);
      stop();
    };
  }, [path, log, round, again]);
  useSyncExternalStore(log.watch, () => log.version);
  return { log, again };
}

/** `path` is a route that answers text, and events with `follow=true`. */
export function Log({ path, name = "Log", file, height = 360 }: { path: string; name?: string; file: string; height?: number | string }) {
  const { log, again } = useLog(path);
  const [follow, setFollow] = useState(true);
  const [wrap, setWrap] = useState(false);
  const [search, setSearch] = useState("");
  const [hit, setHit] = useState(0);
  const [failure, setFailure] = useState<unknown>(null);
  const box = useRef<HTMLDivElement>(null);
  const lines = log.lines;

  const hits = useMemo(() => {
    const wanted = search.toLowerCase();
    if (wanted === "") return [];
    const found: number[] = [];
    lines.forEach((line, index) => {
      if (found.length < 10_000 && plainText(line.text).toLowerCase().includes(wanted)) found.push(index);
    });
    return found;
    // The version says that lines changed; the array is changed in place.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [search, log.version]);

  // The library's functions must not be memoized; nothing here is.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => 18,
    overscan: 30,
  });

  useEffect(() => {
    if (follow && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: "end" });
    // Only new lines scroll.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [log.version, follow]);

  useEffect(() => {
    const wanted = /^#L(\d+)$/.exec(location.hash)?.[1];
    if (!wanted || lines.length === 0) return;
    const index = lines.findIndex((line) => line.number === Number(wanted));
    if (index >= 0) {
      setFollow(false);
      virtual.scrollToIndex(index, { align: "center" });
    }
    // Once, when the first lines are there.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [lines.length > 0]);

  const goTo = (step: number) => {
    if (hits.length === 0) return;
    const next = (hit + step + hits.length) % hits.length;
    setHit(next);
    setFollow(false);
    virtual.scrollToIndex(hits[next]!, { align: "center" });
  };

  const download = async () => {
    try {
      const text = await readText(path);
      const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
      const link = document.createElement("a");
      link.href = url;
      link.download = file;
      link.click();
      URL.revokeObjectURL(url);
    } catch (error) {
      setFailure(error);
    }
  };

  return (
    <div className="log-box" style={{ height }}>
      <div className="log-tools">
        <input
          className="input"
          type="search"
          aria-label="Search the log"
          placeholder="Search"
          value={search}
          onChange={(event) => {
            setSearch(event.target.value);
            setHit(0);
          }}
          onKeyDown={(event) => event.key === "Enter" && goTo(event.shiftKey ? -1 : 1)}
        />
        {search && (
          <span className="small quiet" role="status">
            {hits.length === 0 ? "nothing found" : `${Math.min(hit + 1, hits.length)} of ${hits.length}`}
          </span>
        )}
        <span className="grow" />
        <span className="small quiet">
          {count(lines.length + log.dropped, "line")}
          {log.ended ? "" : log.broken ? " · connecting again" : " · live"}
        </span>
        <label className="row small" style={{ gap: 4 }}>
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.target.checked)} /> Follow
        </label>
        <label className="row small" style={{ gap: 4 }}>
          <input type="checkbox" checked={wrap} onChange={(event) => setWrap(event.target.checked)} /> Wrap
        </label>
        <button type="button" className="button" onClick={() => void download()}>
          Download
        </button>
        {log.broken && (
          <button type="button" className="button" onClick={again}>
            Retry
          </button>
        )}
      </div>
      {failure !== null && <Failure error={failure} retry={() => void download()} />}
      {log.dropped > 0 && <div className="small quiet" style={{ padding: "2px 12px" }}>{count(log.dropped, "older line")} not shown; the download has them.</div>}
      {/* Scrolling up by wheel or keys ends the following. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        ref={box}
        className={wrap ? "log wrap" : "log"}
        role="log"
        aria-label={name}
        // A log scrolls, so the keyboard must reach it.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        onWheel={(event) => event.deltaY < 0 && setFollow(false)}
        onKeyDown={(event) => ["ArrowUp", "PageUp", "Home"].includes(event.key) && setFollow(false)}
      >
        {lines.length === 0 && <div className="quiet" style={{ padding: 12 }}>{log.ended ? "Nothing was written." : "Nothing yet."}</div>}
        <div style={{ height: virtual.getTotalSize(), position: "relative", minWidth: wrap ? undefined : "max-content" }}>
          {virtual.getVirtualItems().map((item) => {
            const line = lines[item.index];
            if (!line) return null;
            const found = hits[hit] === item.index;
            return (
              <div
                key={item.key}
                id={`L${line.number}`}
                ref={virtual.measureElement}
                data-index={item.index}
                className={`line ${found ? "hit" : ""} ${line.level === "error" ? "error-level" : ""}`}
                style={{ position: "absolute", top: 0, left: 0, right: 0, transform: `translateY(${item.start}px)` }}
              >
                <a href={`#L${line.number}`} aria-label={`Line ${line.number}`} onClick={() => setFollow(false)}>
                  {line.number}
                </a>
                <span>
                  {pieces(line.text).map((piece, index) => (
                    <span key={index} className={piece.classes || undefined}>
                      {piece.text}
                    </span>
                  ))}
                </span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
