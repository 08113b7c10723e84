import { expect, test } from "vitest";
import { clockWriters, durationWriters, numberWriters, stepWriters, textAmong, tickTexts } from "./ticks";

test("numbers have as many digits as tell them apart", () => {
  expect(tickTexts([0, 0.5, 1], numberWriters)).toEqual(["0", "0.5", "1"]);
  expect(tickTexts([1000.001, 1000.002], numberWriters)).toEqual(["1000.001", "1000.002"]);
  // No mark is rounded to where it does not stand.
  expect(tickTexts([1000, 1002.5, 1005], numberWriters)).toEqual(["1000", "1002.5", "1005"]);
  // A log axis has marks without a text.
  expect(tickTexts([1, null, 10], numberWriters)).toEqual(["1", "", "10"]);
  expect(tickTexts([0, 0.0004, 0.0008], stepWriters)).toEqual(["0", "0.0004", "0.0008"]);
  expect(tickTexts([0, 20_000], stepWriters)).toEqual(["0", "20,000"]);
});

test("times are as short as they can be", () => {
  expect(tickTexts([0, 5, 65], durationWriters)).toEqual(["0.0s", "5.0s", "1m 05s"]);
  expect(tickTexts([0, 0.02, 0.04], durationWriters)).toEqual(["0.00s", "0.02s", "0.04s"]);
  expect(tickTexts([90.25, 90.5], durationWriters)).toEqual(["1m 30.25s", "1m 30.50s"]);
  expect(tickTexts([10, 12.5, 15], durationWriters)).toEqual(["10.0s", "12.5s", "15.0s"]);
  // What one points at is no round number; a neighbour is all that it must differ from.
  expect(textAmong(12.3456, [12.3456, 19], durationWriters)).toBe("12s");
  expect(textAmong(3599.99, [3599.9, 3599.99], durationWriters)).toBe("1h 00m 00.0s");
  expect(tickTexts([7200, 7230, 7260], durationWriters)).toEqual(["2h 00m 00s", "2h 00m 30s", "2h 01m 00s"]);
  expect(tickTexts([59.96, 59.999], durationWriters)).toEqual(["59.960s", "59.999s"]);
});

test("moments on the clock have seconds where minutes say too little", () => {
  const at = Date.UTC(2026, 0, 1, 10, 0) / 1000;
  for (const step of [60, 1, 0.1, 0.01]) {
    const texts = tickTexts([at, at + step, at + 2 * step], clockWriters);
    expect(new Set(texts).size).toBe(3);
    expect(/:\d\d:\d\d/.test(texts[0]!)).toBe(step < 60);
  }
});

test("what cannot be told apart is written at length", () => {
  expect(tickTexts([0, 1e-9], durationWriters)).toEqual(["0.000000s", "0.000000s"]);
  expect(textAmong(0, [0, 1e-9], durationWriters)).toBe("0.000000s");
});
