/** Attempts to lanes of a timeline: a lane per agent or GPU, as many rows in it as run at once. Pure. */
import type { AttemptSpan } from "../../../api/types";
import { byName } from "../../../format/text";

export interface Placed {
  span: AttemptSpan;
  begin: number;
  end: number;
}

export interface Lane {
  name: string;
  rows: Placed[][];
}

export type LaneBy = "agent" | "gpu";

function laneNames(span: AttemptSpan, by: LaneBy): string[] {
  const agent = span.agent_name ?? (span.agent ? `…${span.agent.slice(-6)}` : "no agent");
  if (by === "agent") return [agent];
  return span.gpus.length > 0 ? span.gpus.map((gpu) => `${agent} · GPU ${gpu}`) : [`${agent} · no GPU`];
}

/** Lanes by name. An attempt that lasts ends now; within a lane no two of a row overlap. */
export function lanesOf(spans: AttemptSpan[], by: LaneBy, now: number): Lane[] {
  const found = new Map<string, Placed[]>();
  for (const span of spans) {
    const placed = { span, begin: Date.parse(span.begin), end: span.end ? Date.parse(span.end) : now };
    for (const name of laneNames(span, by)) found.set(name, [...(found.get(name) ?? []), placed]);
  }
  return [...found]
    .sort(([a], [b]) => byName(a, b))
    .map(([name, all]) => {
      const rows: Placed[][] = [];
      for (const one of all.sort((a, b) => a.begin - b.begin)) {
        const row = rows.find((known) => (known.at(-1)?.end ?? 0) <= one.begin);
        if (row) row.push(one);
        else rows.push([one]);
      }
      return { name, rows };
    });
}

/** Attempts that were there at any moment of a range, the newest first. */
export function within(spans: AttemptSpan[], range: { from: number; to: number } | null, now: number): AttemptSpan[] {
  const fit = range ? spans.filter((span) => Date.parse(span.begin) <= range.to && (span.end ? Date.parse(span.end) : now) >= range.from) : spans;
  return [...fit].sort((a, b) => (a.begin < b.begin ? 1 : -1));
}

/** `0–1s`, `1–5s`, … of the bounds of a distribution. */
export function boundLabels(bins: { up_to_ms?: number | null }[], write: (ms: number) => string): string[] {
  return bins.map((bin, index) => {
    const below = index === 0 ? null : bins[index - 1]!.up_to_ms;
    if (bin.up_to_ms === null || bin.up_to_ms === undefined) return `> ${write(below ?? 0)}`;
    return `≤ ${write(bin.up_to_ms)}`;
  });
}
