import { expect, test } from "vitest";
import { limitsOf, policyText, readPolicy } from "./policy-text";

const type = (from: Parameters<typeof readPolicy>[1], change: Record<string, string>) => readPolicy({ ...policyText(from), ...change }, from);

test("limits are read as they are typed, below what they belong to", () => {
  expect(type({}, { max_running: "3", "retry.max": "2", "retry.on": "lost, exit:75", submitter_fields: "memory, env" })).toEqual({ max_running: 3, submitter_fields: ["memory", "env"], retry: { max: 2, on: ["lost", "exit:75"] } });
  expect(type({ max_running: 3, retry: { max: 2 } }, { max_running: "", "retry.max": "" })).toEqual({});
});

test("what was not touched stays, with what has no field", () => {
  const policy = { max_running: 3, retry: { max: 2, on: [] }, later: { x: 1 } };
  expect(type(policy, {})).toEqual(policy);
  expect(type({ retry: { max: 2, on: ["lost"] } }, { "retry.on": "" })).toEqual({ retry: { max: 2, on: [] } });
});

test("a pause or a drain is no limit", () => {
  expect(type({ paused: true, draining: true, max_running: 1 }, { max_running: "2" })).toEqual({ max_running: 2 });
  expect(limitsOf({ paused: true, max_running: 1 })).toEqual({ max_running: 1 });
});
