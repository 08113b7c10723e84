/** Series of runs: what many charts ask for within a moment is one request per run. */
import { queryOptions } from "@tanstack/react-query";
import { api, got } from "./client";
import { isEnded } from "./queries";
import type { Series } from "./types";

export type Stream = "history" | "system";
export interface RunName {
  entity: string;
  project: string;
  id: string;
  state: string;
}
export interface Range {
  from: number;
  to: number;
}

interface Waiting {
  run: RunName;
  stream: Stream;
  points: number;
  range: Range | null;
  keys: Map<string, { resolve: (series: Series) => void; reject: (error: unknown) => void }[]>;
}

const waiting = new Map<string, Waiting>();
/** Keys in one request: the address must not grow without end. */
const MOST_KEYS = 40;

async function send({ run, stream, points, range, keys }: Waiting) {
  const params = { path: { entity: run.entity, project: run.project, run: run.id }, query: { keys: [...keys.keys()].join(","), points, ...range } };
  try {
    const answer =
      stream === "history"
        ? await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/history", { params }))
        : await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/system", { params }));
    const series = answer.series as Record<string, Series>;
    for (const [key, waiters] of keys) waiters.forEach((waiter) => waiter.resolve(series[key] ?? []));
  } catch (error) {
    for (const waiters of keys.values()) waiters.forEach((waiter) => waiter.reject(error));
  }
}

function load(run: RunName, stream: Stream, key: string, points: number, range: Range | null): Promise<Series> {
  const name = JSON.stringify([run.entity, run.project, run.id, stream, points, range]);
  let batch = waiting.get(name);
  if (!batch) {
    batch = { run, stream, points, range, keys: new Map() };
    waiting.set(name, batch);
    setTimeout(() => {
      const now = waiting.get(name);
      waiting.delete(name);
      if (now) void send(now);
    }, 8);
  }
  const chosen = batch;
  return new Promise((resolve, reject) => {
    chosen.keys.set(key, [...(chosen.keys.get(key) ?? []), { resolve, reject }]);
    if (chosen.keys.size >= MOST_KEYS && waiting.get(name) === chosen) {
      waiting.delete(name);
      void send(chosen);
    }
  });
}

/** One key of one run, at most `points` buckets over the range. */
export const seriesQuery = (run: RunName, stream: Stream, key: string, points: number, range: Range | null = null) =>
  queryOptions({
    queryKey: ["series", run.entity, run.project, run.id, stream, key, points, range],
    queryFn: async () => load(run, stream, key, points, range),
    refetchInterval: isEnded(run.state) ? false : 3_000,
    staleTime: isEnded(run.state) ? 300_000 : 1_500,
  });
