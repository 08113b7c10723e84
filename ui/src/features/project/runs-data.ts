/** What the runs of a project are asked for, as the address says it. The screen and who begins it earlier read the same. */
import { cache } from "../../api/cache";
import { firstRunsQuery, runKeysQuery, runsQuery } from "../../api/queries";
import { pointsFor, seriesQuery } from "../../api/series";
import { lookOf } from "../../components/look";
import { grouped, keysThatFit } from "../../components/plot";
import { chipsFrom, filterOf } from "./run-filter";
import { layoutOf } from "./run-layout";
import { chartKeys, keysToAsk, type ProjectKeys, projectKeys } from "./run-keys";

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

/** What the rows of a table are asked for. Without the project's keys: what the columns in the address need, or what was asked
    for at the last visit; null when neither is there. */
export function asksOf(name: string, params: URLSearchParams, keys: ProjectKeys | null): string[] | null {
  const scatter = scatterOf(params);
  const more = scatter ? [scatter.x, scatter.y] : [];
  const { columns } = layoutOf(params);
  if (columns || keys) return keysToAsk(columns, keys ?? NONE, more);
  const last = lastAsked(name);
  return last && keysToAsk(last, NONE, more);
}

const NONE: ProjectKeys = { metrics: [], all: [], settings: [] };

/** The rows of the table. Runs have a thousand keys and tables show ten: the server sends what is shown. */
export const rowsQuery = (entity: string, project: string, params: URLSearchParams, asked: string[]) => runsQuery(entity, project, { ...whichOf(params), keys: JSON.stringify(asked) });

const PLACE = "lanza.asked";
/** Projects of which it is remembered. */
const REMEMBERED = 40;

function allAsked(): [name: string, keys: string[]][] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(found) ? (found as [string, string[]][]) : [];
  } catch {
    return [];
  }
}

const lastAsked = (name: string): string[] | null => allAsked().find(([known]) => known === name)?.[1] ?? null;

/** Remembers what a project's default columns need, so that the next visit asks for rows at once. */
export function rememberAsked(name: string, keys: ProjectKeys) {
  const asked = keysToAsk(null, keys, []);
  const others = allAsked().filter(([known]) => known !== name);
  localStorage.setItem(PLACE, JSON.stringify([[name, asked], ...others].slice(0, REMEMBERED)));
}

/** Begins a project's runs: rows as soon as the keys are known, and beside them what the first charts draw. */
export async function runsAhead({ entity = "", project = "" }: Readonly<Record<string, string | undefined>>, params: URLSearchParams) {
  const rows = async () => {
    const all = cache.fetchQuery(runKeysQuery(entity, project));
    const name = `${entity}/${project}`;
    const asked = asksOf(name, params, null) ?? asksOf(name, params, projectKeys(await all)) ?? [];
    await Promise.all([all, cache.prefetchInfiniteQuery(rowsQuery(entity, project, params, asked))]);
  };
  await Promise.all([params.has("group") ? null : rows(), params.get("view") === "table" ? null : chartsAhead(entity, project, params)]);
}

async function chartsAhead(entity: string, project: string, params: URLSearchParams) {
  // A choice of runs is in the rows.
  if (params.has("pick") || params.has("hide")) return;
  const runs = await cache.fetchQuery(firstRunsQuery(entity, project, whichOf(params), DRAWN));
  const look = lookOf(params);
  if (look.zoom || look.axis !== "step") return;
  const keys = grouped(keysThatFit(chartKeys(runs), look.search)).flatMap(([, members]) => members).slice(0, SEEN);
  await Promise.all(runs.flatMap((run) => keys.map(async (key) => cache.prefetchQuery(seriesQuery(run, "history", key, pointsFor(runs.length))))));
}
