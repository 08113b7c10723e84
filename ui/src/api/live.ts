/** Live data: one stream of events for the whole app, which marks queries as stale; polling when it is down. Both rest
    while the page is hidden. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import type { QueueEvent } from "./types";

export type Liveness = "live" | "polling" | "paused";

let liveness: Liveness = "polling";
const watchers = new Set<() => void>();

function tell(next: Liveness) {
  if (next === liveness) return;
  liveness = next;
  watchers.forEach((watch) => watch());
}

/** Whether data is live, polled, or paused. */
export function useLiveness(): Liveness {
  return useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => liveness,
  );
}

/** How often a live view polls: seldom while events come, often when they do not. Hidden pages do not poll at all
    (the query client's default). In milliseconds. */
export function pollEvery(active = true): number | false {
  if (!active) return 30_000;
  return liveness === "live" ? 5_000 : 2_000;
}

/** The query families that an event of a kind touches. */
const touched: Record<string, string[]> = {
  item: ["items", "item", "queues", "queue", "agents", "runs", "run"],
  queue: ["queues", "queue", "items", "item"],
  agent: ["agents", "agent", "queues", "queue", "items", "item"],
  run: ["runs", "run", "projects", "jobs"],
  job: ["jobs", "job", "runs"],
  artifact: ["artifacts", "jobs"],
  project: ["projects"],
};

/** How long a stream that was refused is left alone before it is opened again, in milliseconds. The browser itself goes on
    trying where the connection broke. */
const AGAIN = 10_000;
/** How often what a broken stream would have said is read anew, in milliseconds. */
const BROKEN = 5_000;

/** Follows the server's events until the returned function is called. */
export function follow(queries: QueryClient): () => void {
  let source: EventSource | null = null;
  let last = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stale = new Set<string>();
  let flush: ReturnType<typeof setTimeout> | undefined;

  // A burst of events is one refresh.
  const mark = (families: string[]) => {
    families.forEach((family) => stale.add(family));
    flush ??= setTimeout(() => {
      flush = undefined;
      const now = [...stale];
      stale.clear();
      now.forEach((family) => void queries.invalidateQueries({ queryKey: [family] }));
    }, 150);
  };
  const close = () => {
    source?.close();
    source = null;
    clearTimeout(timer);
  };
  const open = () => {
    close();
    if (document.hidden) return tell("paused");
    source = new EventSource(last ? `/api/v1/events?after=${last}` : "/api/v1/events");
    source.onopen = () => tell("live");
    source.onmessage = (message: MessageEvent<string>) => {
      last = message.lastEventId;
      const event = JSON.parse(message.data) as QueueEvent;
      mark(touched[event.kind] ?? [event.kind]);
    };
    source.onerror = () => {
      tell("polling");
      // A stream does not say why it broke: the server may be away.
      void queries.invalidateQueries({ queryKey: ["ready"] });
      // The browser tries again by itself unless it was refused, perhaps because nobody is signed in any more.
      if (source?.readyState !== EventSource.CLOSED) return;
      void queries.invalidateQueries({ queryKey: ["me"] });
      timer = setTimeout(open, AGAIN);
    };
  };
  const onVisible = () => {
    if (document.hidden) {
      close();
      tell("paused");
    } else {
      open();
    }
  };
  document.addEventListener("visibilitychange", onVisible);
  open();
  return () => {
    document.removeEventListener("visibilitychange", onVisible);
    clearTimeout(flush);
    close();
    tell("polling");
  };
}

/** Follows a log route that sends JSON events, until it ends. Returns a function that stops it. */
export function followLog<T>(path: string, onLine: (line: T) => void, onEnd: (ended: boolean) => void): () => void {
  const source = new EventSource(path);
  source.onmessage = (message: MessageEvent<string>) => onLine(JSON.parse(message.data) as T);
  source.addEventListener("end", () => {
    source.close();
    onEnd(true);
  });
  source.onerror = () => {
    // A stream that broke would begin anew and send every line twice: the caller decides.
    source.close();
    onEnd(false);
  };
  return () => source.close();
}

/** Follows what changes about the runs of a project, or about one run, while the calling component is drawn: rows, charts
    and documents are read again when there is something new. Without the stream they are polled. */
export function useRunChanges(entity: string, project: string, run?: string) {
  const queries = useQueryClient();
  useEffect(() => followRuns(queries, entity, project, run), [queries, entity, project, run]);
}

/** Marks as stale what changes about runs, until the returned function is called. */
export function followRuns(queries: QueryClient, entity: string, project: string, run?: string): () => void {
  let source: EventSource | null = null;
  let again: ReturnType<typeof setTimeout> | undefined;
  let poll: ReturnType<typeof setInterval> | undefined;
  const path = `/api/v1/entities/${encodeURIComponent(entity)}/projects/${encodeURIComponent(project)}/changes${run ? `?run=${encodeURIComponent(run)}` : ""}`;
  const stale = (id?: string) => {
    if (!run) void queries.invalidateQueries({ queryKey: ["runs", entity, project] });
    void queries.invalidateQueries({ queryKey: ["run", entity, project, ...(id ? [id] : [])] });
    void queries.invalidateQueries({ queryKey: ["series", entity, project, ...(id ? [id] : [])] });
  };
  const close = () => {
    source?.close();
    source = null;
    clearTimeout(again);
    clearInterval(poll);
    poll = undefined;
  };
  const open = () => {
    source?.close();
    source = new EventSource(path);
    source.addEventListener("run", (message: MessageEvent<string>) => stale((JSON.parse(message.data) as { id: string }).id));
    source.addEventListener("deleted", () => stale());
    source.addEventListener("all", () => stale());
    source.onopen = () => {
      if (poll === undefined) return;
      clearInterval(poll);
      poll = undefined;
      // What changed since the last look.
      stale();
    };
    source.onerror = () => {
      poll ??= setInterval(() => stale(), BROKEN);
      // The browser tries again by itself unless it was refused.
      if (source?.readyState !== EventSource.CLOSED) return;
      clearTimeout(again);
      again = setTimeout(open, AGAIN);
    };
  };
  // What was missed while hidden is read anew.
  const onVisible = () => {
    close();
    if (document.hidden) return;
    stale();
    open();
  };
  document.addEventListener("visibilitychange", onVisible);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener("visibilitychange", onVisible);
    close();
  };
}
