import { expect, test } from "vitest";
import { shortJson } from "../format/text";
import { Exact, readExactly, runOf, runsOf, writeExactly } from "./exact";

const LONG = "12345678901234567";

test("integers that would be rounded keep their digits, and nothing else changes", () => {
  const text = `{"seed": ${LONG}, "list": [-${LONG}, 1, 1e300, 0.1234567890123456], "id": "${LONG}", "quoted": "a \\" ,${LONG},", "even": 12345678901234568, "big": 123456789012345678901234567890}`;
  const read = readExactly(text) as Record<string, unknown>;
  expect(String(read.seed)).toBe(LONG);
  expect(writeExactly(read)).toBe(text.replaceAll(/(?<=[:,]) (?=[-\d["])/g, "").replace("1e300", "1e+300"));
  expect((read.list as unknown[]).slice(1)).toEqual([1, 1e300, 0.1234567890123456]);
  expect([read.id, read.even]).toEqual([LONG, 12345678901234568]);
  expect(shortJson({ seed: read.seed })).toBe(`{"seed":${LONG}}`);
});

test("a text without any is read once", () => {
  for (const text of ["{}", `{"id": "${LONG}"}`, `{"a": 12345678901234568, "b": 1.234567890123456}`]) expect(readExactly(text)).toBeNull();
});

test("a run has them beside what can be counted with, and never as a number in a request", () => {
  const one = `{"id": "r1", "config": {"seed": ${LONG}, "lr": 0.1}, "summary": {}}`;
  const run = runOf(`{"run": ${one}}`);
  expect([run.config.seed, run.config.lr]).toEqual([Number(LONG), 0.1]);
  expect(writeExactly(run.exact?.config)).toBe(`{"seed":${LONG},"lr":0.1}`);
  expect(JSON.stringify({ seed: run.exact?.config.seed })).toBe(`{"seed":"\ue000integer:${LONG}"}`);
  // What goes through an object sees no key of it.
  expect(Object.keys(new Exact("1"))).toEqual([]);
  const { items, next } = runsOf(`{"items": [${one}, {"id": "r2", "config": {"seed": 1}, "summary": {}}], "next": "r2"}`);
  expect([items.map((each) => each.exact !== undefined), next]).toEqual([[true, false], "r2"]);
});
