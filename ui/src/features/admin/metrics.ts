/** The text of `/metrics` as rows, and what a person wants to know of it. Pure. */
import { byName } from "../../format/text";

export interface Metric {
  name: string;
  labels: string;
  value: number;
}

/** Buckets of histograms are left out: sums and counts say what a person reads. */
export function metricsOf(text: string): Metric[] {
  return text.split("\n").flatMap((line): Metric[] => {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)$/.exec(line.trim());
    if (!found || found[1]!.endsWith("_bucket")) return [];
    const value = Number(found[3]);
    return Number.isFinite(value) ? [{ name: found[1]!, labels: (found[2] ?? "").replaceAll('"', ""), value }] : [];
  });
}

export interface Answers {
  status: string;
  count: number;
  /** Seconds, of answers of late; null where the server does not say. */
  median: number | null;
  slow: number | null;
}

const REQUESTS = "lanza_http_request_seconds";

const label = (labels: string, key: string) =>
  labels
    .split(",")
    .map((part) => part.split("="))
    .find(([name]) => name === key)?.[1];

/** How many requests were answered with each status, and how quickly. */
export function answersOf(metrics: Metric[]): Answers[] {
  const found = new Map<string, Answers>();
  for (const { name, labels, value } of metrics) {
    const status = label(labels, "status");
    if (!status || !name.startsWith(REQUESTS)) continue;
    const one = found.get(status) ?? { status, count: 0, median: null, slow: null };
    found.set(status, one);
    const quantile = label(labels, "quantile");
    if (name === `${REQUESTS}_count`) one.count = value;
    else if (quantile === "0.5") one.median = value;
    else if (quantile === "0.95") one.slow = value;
  }
  return [...found.values()].sort((a, b) => byName(a.status, b.status));
}
