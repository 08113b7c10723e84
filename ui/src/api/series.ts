/** Series of runs: what many charts ask for within a moment is one request, whatever the runs. */
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

/** Lines of a chart up to which each has its band at once, and a point for each pixel of a chart in the wall. The bands of more
    lines come when the page has drawn everything else. */
export const BANDS = 6;

/** Points to ask for when a chart has so many lines: what lies close together needs fewer. */
export const pointsFor = (lines: number) => (lines > BANDS ? 250 : 400);

interface Wish {
  run: RunName;
  key: string;
  resolve: (series: Series) => void;
  reject: (error: unknown) => void;
}

interface Waiting {
  stream: Stream;
  points: number;
  range: Range | null;
  wishes: Wish[];
}

const waiting = new Map<string, Waiting>();
/** Keys in one request: the address must not grow without end. */
const MOST_KEYS = 30;
/** Runs in one request. */
const MOST_RUNS = 100;

/** Keys of several runs of a project at once; system metrics are asked for by run. */
async function read(wishes: Wish[], { stream, points, range }: Waiting): Promise<Record<string, Record<string, Series>>> {
  const { entity, project, id: run } = wishes[0]!.run;
  const keys = JSON.stringify([...new Set(wishes.map((wish) => wish.key))]);
  const runs = [...new Set(wishes.map((wish) => wish.run.id))];
  const query = { keys, points, ...range };
  if (stream === "system") {
    const answer = await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/system", { params: { path: { entity, project, run }, query } }));
    return { [run]: answer.series as Record<string, Series> };
  }
  if (runs.length === 1) {
    const answer = await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/history", { params: { path: { entity, project, run }, query } }));
    return { [run]: answer.series as Record<string, Series> };
  }
  const answer = await got(api.GET("/api/v1/entities/{entity}/projects/{project}/run-series", { params: { path: { entity, project }, query: { runs: JSON.stringify(runs), ...query } } }));
  return answer.runs as unknown as Record<string, Record<string, Series>>;
}

async function send(wishes: Wish[], batch: Waiting) {
  try {
    const answer = await read(wishes, batch);
    for (const wish of wishes) wish.resolve(answer[wish.run.id]?.[wish.key] ?? []);
  } catch (error) {
    for (const wish of wishes) wish.reject(error);
  }
}

/** Lists of at most so many, in order. */
export function pieces<T>(list: T[], most: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / most) }, (_, index) => list.slice(index * most, (index + 1) * most));
}

/** Puts wishes together that one request can answer: the same keys of the same runs. */
export function requests(wishes: Wish[], stream: Stream): Wish[][] {
  const byKeys = new Map<string, string[]>();
  const runOf = new Map(wishes.map((wish) => [wish.run.id, wish.run]));
  for (const id of runOf.keys()) {
    const keys = [...new Set(wishes.filter((wish) => wish.run.id === id).map((wish) => wish.key))].sort().join("\n");
    byKeys.set(keys, [...(byKeys.get(keys) ?? []), id]);
  }
  return [...byKeys].flatMap(([text, ids]) =>
    pieces(ids, stream === "system" ? 1 : MOST_RUNS).flatMap((some) =>
      pieces(text.split("\n"), MOST_KEYS).map((keys) => wishes.filter((wish) => some.includes(wish.run.id) && keys.includes(wish.key))),
    ),
  );
}

function load(run: RunName, stream: Stream, key: string, points: number, range: Range | null): Promise<Series> {
  const name = JSON.stringify([run.entity, run.project, stream, points, range]);
  let batch = waiting.get(name);
  if (!batch) {
    const made: Waiting = { stream, points, range, wishes: [] };
    batch = made;
    waiting.set(name, made);
    setTimeout(() => {
      waiting.delete(name);
      for (const some of requests(made.wishes, stream)) void send(some, made);
    }, 12);
  }
  const chosen = batch;
  return new Promise((resolve, reject) => chosen.wishes.push({ run, key, resolve, reject }));
}

/** One key of one run, at most `points` buckets over the range. */
export const seriesQuery = (run: RunName, stream: Stream, key: string, points: number, range: Range | null = null) =>
  queryOptions({
    queryKey: ["series", run.entity, run.project, run.id, stream, key, points, range],
    queryFn: async () => load(run, stream, key, points, range),
    refetchInterval: isEnded(run.state) ? false : 3_000,
    staleTime: isEnded(run.state) ? 300_000 : 1_500,
    // Comparing thousands of points with those of before costs more than drawing them.
    structuralSharing: false,
  });
