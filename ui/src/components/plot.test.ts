import { describe, expect, test } from "vitest";
import { colourOf, columns, grouped, type Line, smooth, stepAt, timeAt, toldApart, valueNear, whyNothing } from "./plot";

const line = (points: [number, number][]): Line => ({ label: "a", colour: "#000", dash: [], points: points.map(([step, value]) => [step, value, value - 1, value + 1]) });

describe("what is drawn", () => {
  test("smoothing has no bias at the begin and no effect on a constant", () => {
    expect(smooth([4, 4, 4], 0.9)).toEqual([expect.closeTo(4), expect.closeTo(4), expect.closeTo(4)]);
    expect(smooth([1, 3], 0)).toEqual([1, 3]);
    const [first, second] = smooth([0, 1], 0.5);
    expect(first).toBe(0);
    expect(second).toBeCloseTo(2 / 3);
    expect(smooth([1, null, 1], 0.5)[1]).toBeNull();
  });

  test("lines with their own steps share an axis", () => {
    const drawn = columns([line([[0, 1], [2, 3]]), line([[1, 5]])], "step", 0);
    expect(drawn.x).toEqual([0, 1, 2]);
    expect(drawn.lines[0]!.value).toEqual([1, null, 3]);
    expect(drawn.lines[1]!.value).toEqual([null, 5, null]);
    expect(drawn.lines[0]!.min).toEqual([0, null, 2]);
  });

  test("what is no finite number is not drawn, and is told apart from what is not there", () => {
    const drawn = columns([{ ...line([]), points: [[0, 1, 1, 1], [1, "NaN", 0.5, 4], [2, "Infinity", "Infinity", "Infinity"], [3, 2, 2, 2]] }, line([[4, 1]])], "step", 0.5);
    expect(drawn.lines[0]!.raw).toEqual([1, null, null, 2, null]);
    expect(drawn.lines[0]!.value).toEqual([1, null, null, expect.closeTo(5 / 3), null]);
    expect([drawn.lines[0]!.min[1], drawn.lines[0]!.max[1], drawn.lines[0]!.max[2]]).toEqual([0.5, 4, null]);
    expect([...drawn.lines[0]!.odd]).toEqual([[1, "NaN"], [2, "Infinity"]]);
    expect(drawn.lines[1]!.odd.size).toBe(0);
  });

  test("a chart says why it is empty", () => {
    const why = (points: Line["points"], log: boolean, weight = 0) => whyNothing(columns([line([]), { ...line([]), points }], "step", weight), log);
    expect(why([[0, "NaN", "NaN", "NaN"], [1, "Infinity", "Infinity", "Infinity"]], false)).toBe("No number is finite: all are NaN or Infinity.");
    expect(why([[0, -1, -2, 0]], true)).toBe("No value is above zero: a log axis has no place for them.");
    expect(why([[0, -1, -2, 0]], false)).toBeNull();
    // The mean of a bucket may be below zero where its greatest value is not.
    expect(why([[0, -1, -2, 3]], true)).toBeNull();
    expect(why([[0, "NaN", 1, 3]], false)).toBeNull();
  });

  test("runs with the same name are told apart", () => {
    expect(toldApart([{ label: "a", id: "r1" }, { label: "b", id: "r2" }, { label: "a", id: "r3" }])).toEqual(["a (r1)", "b", "a (r3)"]);
  });

  test("between its own points a line has its nearest value", () => {
    expect(valueNear([1, null, null, 4], 1)).toBe(1);
    expect(valueNear([null, null, null, 4], 1)).toBe(4);
    expect(valueNear([1, null, null, null], 3, 1)).toBeNull();
  });

  test("the time axis reads the clock of the run", () => {
    const times: Line["points"] = [[0, 10, 10, 10], [10, 30, 30, 30]];
    expect(timeAt(times, 5)).toBe(20);
    expect(timeAt(times, -1)).toBe(10);
    expect(timeAt([], 1)).toBeNull();
    expect(stepAt(times, 20)).toBe(5);
    expect(stepAt(times, 99)).toBe(10);
    expect(columns([{ ...line([[5, 1]]), times }], "time", 0).x).toEqual([20]);
  });

  test("keys are grouped by prefix, in a natural order", () => {
    expect(grouped(["val/b", "loss", "train/layer10", "train/layer2"])).toEqual([
      ["", ["loss"]],
      ["train", ["train/layer2", "train/layer10"]],
      ["val", ["val/b"]],
    ]);
  });

  test("a run has the colour of its number, the eleventh gets dashes, and forty differ", () => {
    expect(colourOf(1).dash).toEqual([]);
    expect(colourOf(11)).toEqual({ colour: colourOf(1).colour, dash: [6, 4] });
    expect(colourOf(41)).toEqual(colourOf(1));
    expect(new Set(Array.from({ length: 40 }, (_, index) => JSON.stringify(colourOf(index + 1)))).size).toBe(40);
  });
});
