/** The keys that runs have: which are metrics, which tell most, which a table asks for. Pure. */
import type { Run, RunKey } from "../../api/types";
import { byName } from "../../format/text";
import { atPath } from "../launch/inputs";

/** What `define_metric` may keep of a metric in place of its last value. */
const kept = new Set(["min", "max", "mean", "last", "first", "best"]);

const isMeasured = (value: unknown) => typeof value === "number" || value === "NaN" || value === "Infinity" || value === "-Infinity";

function addKeys(values: object, above: string, keys: Set<string>) {
  for (const [name, value] of Object.entries(values) as [string, unknown][]) {
    if (above === "" && name.startsWith("_")) continue;
    const key = above + name;
    if (isMeasured(value)) keys.add(key);
    // Media say what they are.
    else if (typeof value === "object" && value !== null && !Array.isArray(value) && !("_type" in value)) {
      const inner = Object.entries(value);
      if (inner.length > 0 && inner.every(([one, number]) => kept.has(one) && isMeasured(number))) keys.add(key);
      else addKeys(value, `${key}.`, keys);
    }
  }
}

/** The numbers that runs logged, as their summaries name them: `loss`, and `train.loss` for one in a dictionary. */
export function metricKeys(runs: Pick<Run, "summary">[]): string[] {
  const keys = new Set<string>();
  for (const run of runs) addKeys(run.summary, "", keys);
  return [...keys];
}

/** The metrics that have a chart: what stands in a summary by its own name, and of its dictionaries what `logged` names. Those are
    written by hand more often than logged, and a number that was never logged has no line. */
export function chartKeys(runs: Pick<Run, "summary">[], logged: readonly string[] = []): string[] {
  const known = new Set(logged);
  return metricKeys(runs).filter((key) => known.has(key) || runs.some((run) => key in run.summary));
}

/** The first run that has metrics in dictionaries. */
export const nestedRun = <T extends Pick<Run, "summary">>(runs: T[]): T | undefined => runs.find((run) => metricKeys([run]).some((key) => !(key in run.summary)));

/** What a summary says of a metric: its last value, or what is kept in its place. */
export function resultOf(run: Pick<Run, "summary">, key: string): unknown {
  const value = atPath(run.summary, key);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.entries(value).find(([name]) => kept.has(name))?.[1];
}

/** How much a metric says about a run at first sight: results on data that was held back, then losses and rates of success. */
const weight = (key: string) => (/val|eval|test/i.test(key) ? 0 : 4) + (/acc|score|f1|auc|bleu|map|reward|return/i.test(key) ? 0 : /loss|error|perplexity/i.test(key) ? 1 : 8);

/** Metrics with the telling ones first. */
export function byWeight(keys: string[]): string[] {
  return keys
    .map((key) => ({ key, weight: weight(key) }))
    .sort((a, b) => a.weight - b.weight || byName(a.key, b.key))
    .map(({ key }) => key);
}

/** The metric that tells most. */
export function mostTelling(keys: string[]): string | undefined {
  let best: { key: string; weight: number } | undefined;
  for (const key of keys) {
    const one = { key, weight: weight(key) };
    if (!best || one.weight < best.weight || (one.weight === best.weight && byName(key, best.key) < 0)) best = one;
  }
  return best?.key;
}

/** The keys of a project's runs, as columns and charts name them. */
export interface ProjectKeys {
  /** Numbers of summaries, `summary.KEY`, the telling ones first. */
  metrics: string[];
  /** All of summaries and configs. */
  all: string[];
  /** `config.KEY`. */
  settings: string[];
}

/** Sorts the server's list of keys. What the client keeps for itself is left out. */
export function projectKeys(keys: RunKey[]): ProjectKeys {
  const own = keys.filter(({ key }) => !/^(config|summary)\._/.test(key));
  const summary = own.filter(({ key }) => key.startsWith("summary."));
  const settings = own.filter(({ key }) => key.startsWith("config.")).map(({ key }) => key);
  const numbers = summary.filter(({ kinds }) => kinds.includes("number")).map(({ key }) => key.slice("summary.".length));
  return { metrics: byWeight(numbers).map((key) => `summary.${key}`), settings, all: [...summary.map(({ key }) => key), ...settings] };
}

/** Settings that are asked for before one knows which of them differ. */
const SETTINGS = 12;

/** The keys that a page of runs is asked for: those of the columns, else those that the default columns are chosen from. */
export function keysToAsk(columns: string[] | null, keys: ProjectKeys, more: string[]): string[] {
  const base = columns ?? [...keys.metrics.slice(0, 4), ...keys.settings.slice(0, SETTINGS)];
  return [...new Set([...base, ...more])].filter((key) => /^(config|summary)\./.test(key));
}
