import { expect, test } from "vitest";
import type { AttemptSpan } from "../../../api/types";
import { boundLabels, lanesOf, within } from "./timeline";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
const span = (item: string, begin: number, end: number | null, more: Partial<AttemptSpan> = {}): AttemptSpan => ({ item, number: 1, author: "user-1", project: "p", gpus: [], state: "finished", unreachable: false, agent: "agent-1", agent_name: "one", begin: at(begin), end: end === null ? null : at(end), ...more });
const now = Date.parse(at(100));

test("what runs at once stands below each other, what follows beside each other", () => {
  const lanes = lanesOf([span("a", 0, 10), span("b", 5, 20), span("c", 10, 12), span("d", 0, null, { agent_name: "two", state: "running" })], "agent", now);
  expect(lanes.map((lane) => [lane.name, lane.rows.map((row) => row.map((one) => one.span.item))])).toEqual([
    ["one", [["a", "c"], ["b"]]],
    ["two", [["d"]]],
  ]);
  expect(lanes[1]!.rows[0]![0]!.end).toBe(now);
});

test("an attempt with two GPUs stands in both lanes", () => {
  const lanes = lanesOf([span("a", 0, 1, { gpus: ["0", "1"] }), span("b", 2, 3)], "gpu", now);
  expect(lanes.map((lane) => lane.name)).toEqual(["one · GPU 0", "one · GPU 1", "one · no GPU"]);
});

test("a brushed range has what was there at any moment of it", () => {
  const spans = [span("a", 0, 10), span("b", 20, 30), span("c", 25, null)];
  expect(within(spans, { from: Date.parse(at(9)), to: Date.parse(at(21)) }, now).map((one) => one.item)).toEqual(["b", "a"]);
  expect(within(spans, { from: Date.parse(at(50)), to: Date.parse(at(60)) }, now).map((one) => one.item)).toEqual(["c"]);
  expect(within(spans, null, now).map((one) => one.item)).toEqual(["c", "b", "a"]);
});

test("bounds in words", () => {
  expect(boundLabels([{ up_to_ms: 1000 }, { up_to_ms: 60_000 }, { up_to_ms: null }], (ms) => `${ms / 1000}s`)).toEqual(["≤ 1s", "≤ 60s", "> 60s"]);
});
