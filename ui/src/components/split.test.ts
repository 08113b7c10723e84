import { expect, test } from "vitest";
import { clamped } from "./split";

test("the table keeps its 380 pixels, and the charts a fifth", () => {
  expect(clamped(46, 1900)).toBe(46);
  expect(clamped(5, 1900)).toBe(20);
  expect(clamped(20, 1000)).toBe(38);
  expect(clamped(99, 1900)).toBe(80);
  // Before it is drawn nobody knows how wide it is.
  expect(clamped(20)).toBe(20);
});
