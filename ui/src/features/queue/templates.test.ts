import { describe, expect, test } from "vitest";
import { policyLine, queueState } from "./queue-state";
import { parseConfig, templateNames, typedValue } from "./templates";

describe("template variables", () => {
  test("are found in every text, once, in order", () => {
    expect(templateNames({ a: "{{x}} and {{ y }}", b: [{ c: "{{x}}" }], d: 1, "{{no}}": "" })).toEqual(["x", "y"]);
  });
  test("are read by their type", () => {
    expect(typedValue("integer", "3")).toEqual({ value: 3 });
    expect(typedValue("integer", "3.5").error).toBeDefined();
    expect(typedValue("string", "3")).toEqual({ value: "3" });
    expect(typedValue("number", " ")).toEqual({});
  });
  test("a configuration is an object", () => {
    expect(parseConfig("")).toEqual({ config: {} });
    expect(parseConfig("[1]").error).toMatch(/object/);
    expect(parseConfig("{").error).toMatch(/not JSON/);
  });
});

describe("a queue in a word and a line", () => {
  const agents = [{ id: "1", name: "a", status: "polling" }];
  test("state", () => {
    expect(queueState({ policy: {}, counts: {}, agents: [] })).toBe("no agent");
    expect(queueState({ policy: {}, counts: { queued: 1 }, agents: [{ ...agents[0]!, status: "not_polling" }] })).toBe("no agent");
    expect(queueState({ policy: {}, counts: { running: 1 }, agents })).toBe("working");
    expect(queueState({ policy: { paused: true }, counts: {}, agents: [] })).toBe("paused");
  });
  test("policy", () => {
    expect(policyLine({})).toBe("no limits");
    expect(policyLine({ max_running: 2, retry: { max: 3, on: ["lost"] } })).toBe("at most 2 running · retried 3 × on lost");
  });
});
