import { expect, test } from "vitest";
import { course, slices } from "./course";

test("a slice is the difference of two sums until now", () => {
  const row = (key: string, hours: number) => ({ key, wall_hours: hours });
  expect(course([[row("a", 5), row("b", 9)], [row("a", 2), row("b", 9)], [row("b", 1)]])).toEqual([
    { name: "b", values: [0, 8, 1] },
    { name: "a", values: [3, 2, 0] },
  ]);
  const many = Array.from({ length: 8 }, (_, index) => row(`k${index}`, 8 - index));
  expect(course([many]).map((one) => [one.name, one.values[0]])).toEqual([["k0", 8], ["k1", 7], ["k2", 6], ["k3", 5], ["k4", 4], ["k5", 3], ["2 more", 3]]);
  expect(course([[]])).toEqual([]);
});

test("slices are fixed to the clock", () => {
  const now = new Date(2026, 5, 10, 15, 30).getTime();
  const days = slices(7, now);
  expect(days.length).toBe(7);
  expect(new Date(days.at(-1)!).getHours()).toBe(0);
  expect(slices(7, now + 60_000)).toEqual(days);
  expect(slices(1, now).length).toBe(12);
  expect(slices(90, now).length).toBe(13);
});
