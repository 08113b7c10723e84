import { expect, test } from "vitest";
import { roundTicks, timeTicks } from "../../components/ticks";
import { axisOf } from "./scatter-axis";

test("ticks are round", () => {
  expect(roundTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(roundTicks(3, 3, 5)).toEqual([3]);
});

test("moments are on the clock", () => {
  const from = new Date(2026, 0, 5, 9, 40).getTime();
  const ticks = timeTicks(from, from + 6 * 3_600_000, 8).map((at) => new Date(at));
  expect(ticks.map((one) => one.getMinutes())).toEqual([0, 0, 0, 0, 0, 0]);
  expect(ticks[0]!.getHours()).toBe(10);
});

test("numbers stand on a scale, linear or logarithmic", () => {
  const linear = axisOf([0, 10], false, [0, 100], 5);
  expect(linear.place(5)).toBeCloseTo(50);
  expect(linear.place("5")).toBeNull();
  const log = axisOf([0.001, 1, 0], true, [0, 100], 5);
  expect(log.place(0)).toBeNull();
  expect(log.place(Math.sqrt(0.001))).toBeCloseTo(50);
  expect(log.ticks.map((tick) => tick.text)).toEqual(["0.001", "0.01", "0.1", "1"]);
});

test("words stand side by side, and nothing is not drawn", () => {
  const words = axisOf(["sgd", "adam", null, 3], false, [0, 90], 5);
  expect(words.ticks.map((tick) => [tick.text, tick.at])).toEqual([
    ["3", 15],
    ["adam", 45],
    ["sgd", 75],
  ]);
  expect(words.place(undefined)).toBeNull();
  expect(axisOf([], false, [0, 1], 5).place(1)).toBeNull();
});
