import { expect, test } from "vitest";
import { sparkPath } from "./sparkline";

test("a small line fills its box and leaves gaps", () => {
  expect(sparkPath([0, 1], 10, 14)).toBe("M0.0 12.0L10.0 2.0");
  expect(sparkPath([0, null, 1, 1], 30, 14)).toBe("M0.0 12.0M20.0 2.0L30.0 2.0");
  expect(sparkPath([5])).toBe("");
  expect(sparkPath([3, 3], 10, 14)).toBe("M0.0 12.0L10.0 12.0");
});
