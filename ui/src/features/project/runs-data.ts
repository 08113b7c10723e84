/** What the runs of a project are asked for, as the address says it. The screen and who begins it earlier read the same. */
import { cache } from "../../api/cache";
import { firstRunsQuery, runKeysQuery, runsQuery } from "../../api/queries";
import { pointsFor, seriesQuery } from "../../api/series";
import { lookOf } from "../../components/look";
import { grouped, keysThatFit } from "../../components/plot";
import { chipsFrom, filterOf } from "./run-filter";
import { keysToAsk, metricKeys, type ProjectKeys, projectKeys } from "./run-keys";

/** Runs whose lines are drawn at most. */
export const DRAWN = 20;
/** Charts that are seen before one scrolls, about. */
const SEEN = 12;

export interface ScatterKeys {
  x: string;
  y: string;
  logX: boolean;
  logY: boolean;
}

/** What the address says about the scatter; null when it is closed. */
export function scatterOf(params: URLSearchParams): ScatterKeys | null {
  const [x, y] = [params.get("sx"), params.get("sy")];
  const log = params.get("slog") ?? "";
  return x && y ? { x, y, logX: log.includes("x"), logY: log.includes("y") } : null;
}

/** Which runs, and in which order. */
export function whichOf(params: URLSearchParams): { order: string; filter?: string } {
  const filter = filterOf(chipsFrom(params.getAll("f")));
  return { order: params.get("order") ?? "-created_at", ...(filter ? { filter } : {}) };
}

/** The columns that somebody chose. */
export const columnsOf = (params: URLSearchParams): string[] | null => params.get("columns")?.split(",").filter(Boolean) ?? null;

/** The rows of the table. Runs have a thousand keys and tables show ten: the server sends what is shown. */
export function rowsQuery(entity: string, project: string, params: URLSearchParams, keys: ProjectKeys) {
  const scatter = scatterOf(params);
  const asked = keysToAsk(columnsOf(params), keys, scatter ? [scatter.x, scatter.y] : []);
  return runsQuery(entity, project, { ...whichOf(params), keys: JSON.stringify(asked) });
}

/** Begins a project's runs: rows as soon as the keys are known, and beside them what the first charts draw. */
export async function runsAhead({ entity = "", project = "" }: Readonly<Record<string, string | undefined>>, params: URLSearchParams) {
  const rows = async () => {
    const keys = projectKeys(await cache.fetchQuery(runKeysQuery(entity, project)));
    await cache.prefetchInfiniteQuery(rowsQuery(entity, project, params, keys));
  };
  await Promise.all([params.has("group") ? null : rows(), params.get("view") === "table" ? null : chartsAhead(entity, project, params)]);
}

async function chartsAhead(entity: string, project: string, params: URLSearchParams) {
  // A choice of runs is in the rows.
  if (params.has("pick") || params.has("hide")) return;
  const runs = await cache.fetchQuery(firstRunsQuery(entity, project, whichOf(params), DRAWN));
  const look = lookOf(params);
  if (look.zoom || look.axis !== "step") return;
  const keys = grouped(keysThatFit(metricKeys(runs), look.search)).flatMap(([, members]) => members).slice(0, SEEN);
  await Promise.all(runs.flatMap((run) => keys.map(async (key) => cache.prefetchQuery(seriesQuery(run, "history", key, pointsFor(runs.length))))));
}
