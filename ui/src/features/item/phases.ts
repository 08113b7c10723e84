/** The phase timeline of an attempt: which bars, how wide. */
import type { Attempt } from "../../api/types";

export interface PhaseBar {
  name: string;
  ms: number;
  /** Weight of its width, at least a visible sliver. */
  weight: number;
  tone: "done" | "now" | "bad";
}

/** Bars of an attempt. The time before `fetch` is the first bar, `queued`. */
export function phaseBars(attempt: Pick<Attempt, "state" | "phases"> | undefined, item: { created_at: string; leased_at?: string | null; phase?: string | null; state: string; number: number }, now: number): PhaseBar[] {
  const bars: Omit<PhaseBar, "weight">[] = [];
  if (item.number <= 1) {
    const waited = (item.leased_at ? Date.parse(item.leased_at) : now) - Date.parse(item.created_at);
    bars.push({ name: "queued", ms: Math.max(0, waited), tone: item.leased_at || item.state !== "queued" ? "done" : "now" });
  }
  const ended = attempt ? ["failed", "lost", "stopped"].includes(attempt.state) : false;
  for (const [index, phase] of (attempt?.phases ?? []).entries()) {
    const last = index === attempt!.phases.length - 1;
    const ms = (phase.ended_at ? Date.parse(phase.ended_at) : now) - Date.parse(phase.started_at);
    const failedHere = ended && attempt!.state !== "stopped" && (item.phase ? item.phase === phase.name : last);
    bars.push({ name: phase.name, ms: Math.max(0, ms), tone: failedHere ? "bad" : phase.ended_at || ended ? "done" : "now" });
  }
  const total = bars.reduce((sum, bar) => sum + bar.ms, 0) || 1;
  return bars.map((bar) => ({ ...bar, weight: Math.max(0.02, bar.ms / total) }));
}
