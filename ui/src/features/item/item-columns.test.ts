import { expect, test } from "vitest";
import type { Item } from "../../api/types";
import { causeOf } from "./item-columns";

const cause = (item: object) => causeOf(item as Item);

test("the cause of an item is in its row", () => {
  expect(cause({ reason: { message: "No such package." }, unreachable: false })).toBe("No such package.");
  expect(cause({ reason: null, why: { message: "The queue is paused." }, unreachable: false })).toBe("The queue is paused.");
  expect(cause({ reason: null, why: { message: "Running." }, unreachable: true })).toMatch(/agent is silent/);
  expect(cause({ reason: null, why: null, unreachable: false })).toBe("");
});
