import { expect, test } from "vitest";
import { columns, type Line } from "./plot";
import { seriesOf, tableOf } from "./plot-table";

const line = (label: string, colour: string, points: [step: number, value: number, least: number, greatest: number][]): Line => ({ label, colour, dash: [], points });
const lines = [line("a", "#aa0000", [[0, 2, -1, 5], [10, 4, 3, 6]]), line("b", "#0000bb", [[0, 8, 7, 9]])];

test("each line has a band between its least and greatest values, in its colour", () => {
  for (const smoothed of [false, true]) {
    const data = columns(lines, "step", smoothed ? 0.5 : 0);
    const table = tableOf(data, { bands: true, smoothed, log: false });
    const { series, fills } = seriesOf(lines, { bands: true, smoothed });
    expect(series.length).toBe(table.length);
    expect(fills.map((fill) => fill.fill)).toEqual(["#aa000026", "#0000bb26"]);
    const edges = fills.map((fill) => (fill.series as number[]).map((index) => [...table[index]!]));
    expect(edges).toEqual([[[5, 6], [-1, 3]], [[9, null], [7, null]]]);
    // What is named is the line itself; the edges are drawn faintly, in its colour and dashes.
    expect(series.flatMap((one, index) => (one.label ? [[one.label, table[index]![0]]] : []))).toEqual([["a", 2], ["b", 8]]);
    expect(fills.flatMap((fill) => (fill.series as number[]).map((index) => series[index]!.stroke))).toEqual(["#aa000080", "#aa000080", "#0000bb80", "#0000bb80"]);
  }
});

test("many lines have no bands, and a log axis leaves out what it has no place for", () => {
  const data = columns(lines, "step", 0);
  expect(seriesOf(lines, { bands: false, smoothed: false }).fills).toEqual([]);
  expect(tableOf(data, { bands: false, smoothed: false, log: false }).length).toBe(3);
  const log = tableOf(data, { bands: true, smoothed: false, log: true });
  expect([...log[2]!]).toEqual([null, 3]);
});

test("edges are fainter where there are many, and not drawn where each bucket holds one value", () => {
  const many = Array.from({ length: 7 }, (_, index) => line(`run ${index}`, "#00aa00", [[0, 1, 0, 2]]));
  expect(new Set(seriesOf(many, { bands: true, smoothed: false }).series.slice(1).filter((one) => !one.label).map((one) => one.stroke))).toEqual(new Set(["#00aa0040"]));
  const whole = tableOf(columns([line("a", "#aa0000", [[0, 2, 2, 2], [1, 3, 3, 3]]), line("b", "#0000bb", [[0, 2, 2, 2], [1, 3, 3, 100]])], "step", 0), { bands: true, smoothed: false, log: false });
  expect(whole.slice(1).map((column) => [...column])).toEqual([[null, null], [null, null], [2, 3], [2, 100], [2, 3], [2, 3]]);
});
