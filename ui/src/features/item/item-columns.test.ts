import { expect, test } from "vitest";
import type { Item } from "../../api/types";
import { causeOf, causeOfAttempt } from "./item-columns";

const item = (more: object) => ({ queue: "gpu", state: "queued", unreachable: false, ...more }) as Item;
const waits = (message: string) => causeOf(item({ why: { rule: "r", message, ahead: 0 } }));

test("a cause is what happened, else silence, else why it waits", () => {
  expect(causeOf(item({ state: "failed", reason: { message: "exit code 1" }, why: { message: "no" } }))).toBe("exit code 1");
  expect(causeOf(item({ state: "running", unreachable: true }))).toContain("its agent is silent");
  expect(causeOf(item({}))).toBe("");
});

test("why it waits begins with the cause, not with the queue that one looks at", () => {
  expect(waits("every agent of the queue `gpu` is silent, the last one since 10:00")).toBe("every agent is silent, the last one since 10:00");
  expect(waits("3 items are ahead of it in the queue `gpu`")).toBe("3 items are ahead of it");
  expect(waits("no agent serves the queue `gpu`; start one with `lanza agent -q gpu`")).toBe("no agent serves the queue; start one with `lanza agent -q gpu`");
});

test("an attempt says the same as its item", () => {
  expect(causeOfAttempt({ cause: "exit_code", message: "it ended with 1", unreachable: false })).toBe("it ended with 1");
  expect(causeOfAttempt({ cause: null, message: null, unreachable: true })).toContain("its agent is silent");
  expect(causeOfAttempt({ cause: null, message: null, unreachable: false })).toBe("");
});
