import { expect, test } from "vitest";
import { phaseBars } from "./phases";

const at = (seconds: number) => new Date(seconds * 1000).toISOString();

test("bars are as wide as they lasted, and the failed one is marked", () => {
  const phases = [
    { name: "fetch", started_at: at(10), ended_at: at(11) },
    { name: "build", started_at: at(11), ended_at: at(31) },
  ];
  const attempt = { state: "failed", phases };
  const bars = phaseBars(attempt, { created_at: at(0), leased_at: at(10), phase: "build", state: "failed", number: 1 }, 99_000);
  expect(bars.map((bar) => [bar.name, bar.ms, bar.tone])).toEqual([
    ["queued", 10_000, "done"],
    ["fetch", 1_000, "done"],
    ["build", 20_000, "bad"],
  ]);
  expect(bars[2]!.weight).toBeCloseTo(20 / 31);
});

test("an open phase grows, a later attempt has no queue of its own", () => {
  const attempt = { state: "running", phases: [{ name: "run", started_at: at(10), ended_at: null }] };
  const bars = phaseBars(attempt, { created_at: at(0), leased_at: at(9), phase: null, state: "running", number: 2 }, 15_000);
  expect(bars.map((bar) => [bar.name, bar.ms, bar.tone])).toEqual([["run", 5_000, "now"]]);
});

test("what waits has one bar", () => {
  expect(phaseBars(undefined, { created_at: at(0), leased_at: null, phase: null, state: "queued", number: 0 }, 4_000).map((bar) => [bar.name, bar.ms, bar.tone])).toEqual([["queued", 4_000, "now"]]);
});
