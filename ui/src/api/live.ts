/** Live data: one stream of events for all windows of the browser, which marks queries as stale; polling when it is down. Both rest
    while the page is hidden. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { FOR_ALL } from "./slots";
import { share } from "./streams";
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

/** How often what a broken stream would have said is read anew, in milliseconds. */
const BROKEN = 5_000;
/** How long after a screen was read its stream may open without reading it again, in milliseconds. */
const LATE = 500;

/** Follows the server's events until the returned function is called. */
export function follow(queries: QueryClient): () => void {
  let close: () => void = () => undefined;
  let last = "";
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
  const open = () => {
    close();
    close = () => undefined;
    if (document.hidden) return tell("paused");
    const told = {
      open: () => tell("live"),
      message: (_: string, data: string, id: string) => {
        last = id;
        const event = JSON.parse(data) as QueueEvent;
        mark(touched[event.kind] ?? [event.kind]);
      },
      down: () => {
        tell("polling");
        // A stream does not say why it broke: the server may be away, or nobody is signed in any more.
        for (const key of ["ready", "me"]) void queries.invalidateQueries({ queryKey: [key] });
      },
    };
    close = share("events", () => (last ? `/api/v1/events?after=${last}` : "/api/v1/events"), [], told, FOR_ALL);
  };
  document.addEventListener("visibilitychange", open);
  open();
  return () => {
    document.removeEventListener("visibilitychange", open);
    clearTimeout(flush);
    close();
    tell("polling");
  };
}

/** Follows what changes about the runs of a project, or about one run, while the calling component is drawn: rows, charts
    and documents are read again when there is something new. Without the stream they are polled. */
export function useRunChanges(entity: string, project: string, run?: string) {
  const queries = useQueryClient();
  useEffect(() => followRuns(queries, entity, project, run), [queries, entity, project, run]);
}

/** Marks as stale what changes about runs, until the returned function is called. */
export function followRuns(queries: QueryClient, entity: string, project: string, run?: string): () => void {
  let shut: () => void = () => undefined;
  let poll: ReturnType<typeof setInterval> | undefined;
  const path = `/api/v1/entities/${encodeURIComponent(entity)}/projects/${encodeURIComponent(project)}/changes${run ? `?run=${encodeURIComponent(run)}` : ""}`;
  const stale = (id?: string) => {
    if (!run) void queries.invalidateQueries({ queryKey: ["runs", entity, project] });
    void queries.invalidateQueries({ queryKey: ["run", entity, project, ...(id ? [id] : [])] });
    void queries.invalidateQueries({ queryKey: ["series", entity, project, ...(id ? [id] : [])] });
  };
  const close = () => {
    shut();
    shut = () => undefined;
    clearInterval(poll);
    poll = undefined;
  };
  const open = () => {
    const begun = Date.now();
    let before = false;
    shut = share(path, () => path, ["run", "deleted", "all"], {
      open: () => {
        // What changed since the last look, where that is a while ago.
        if (before || poll !== undefined || Date.now() - begun > LATE) stale();
        before = true;
        clearInterval(poll);
        poll = undefined;
      },
      message: (type, data) => {
        if (type === "run") stale((JSON.parse(data) as { id: string }).id);
        else if (type !== "message") stale();
      },
      down: () => (poll ??= setInterval(() => stale(), BROKEN)),
    });
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
