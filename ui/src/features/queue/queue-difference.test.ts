import { expect, test } from "vitest";
import { differences, valueAt } from "./queue-difference";

test("every value that is another is named by its path", () => {
  const from = { config: { env: { A: "1", B: "2" }, volume: ["a"] }, policy: {}, priority: true };
  const to = { config: { env: { A: "1", B: "3" }, volume: ["a", "b"], gpus: 1 }, policy: { max_running: 7 }, priority: true };
  expect(differences(from, to)).toEqual([
    { path: "config.env.B", from: "2", to: "3" },
    { path: "config.volume", from: ["a"], to: ["a", "b"] },
    { path: "config.gpus", from: undefined, to: 1 },
    { path: "policy.max_running", from: undefined, to: 7 },
  ]);
  expect(differences({ a: [{ x: 1, y: 2 }] }, { a: [{ y: 2, x: 1 }] })).toEqual([]);
});

test("a value is found by its path, also below a key with dots", () => {
  expect(valueAt({ config: { "a.b": { c: 1 } } }, "config.a.b.c")).toBe(1);
  expect(valueAt({ config: {} }, "config.a")).toBeUndefined();
});
