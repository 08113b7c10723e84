/** Where the marks of an axis are, and what stands at them. */
import { duration, metric } from "../format/text";

/** Round numbers from `low` to `high`, about `n` of them. */
export function roundTicks(low: number, high: number, n: number): number[] {
  if (low === high) return [low];
  const rough = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? rough;
  const found: number[] = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A moment as short as the width of a range allows. */
export function timeLabel(ms: number, range: number): string {
  const date = new Date(ms);
  if (range <= 2 * DAY) return date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  if (range <= 8 * DAY) return date.toLocaleString(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return date.toLocaleDateString(undefined, { month: "short", day: "numeric" });
}

/** Moments on the clock between two: minutes, hours, or days. */
export function timeTicks(from: number, to: number, n: number): number[] {
  const steps = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY];
  const step = steps.find((one) => (to - from) / one <= n) ?? 30 * DAY;
  const offset = new Date(from).getTimezoneOffset() * MINUTE;
  const found: number[] = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) found.push(at);
  return found;
}

/** A way to write a value, and whether it says all of it. */
interface Writer {
  write: (value: number) => string;
  whole: (value: number) => boolean;
}

/** Ways from short to long. */
export type Writers = Writer[];

/** The shortest way to write some values in which no two that differ are the same text; the longest where there is none. */
export function writerFor(values: number[], writers: Writers, also: (writer: Writer) => boolean = () => true): Writer | undefined {
  const all = [...new Set(values)];
  return writers.find((writer) => also(writer) && new Set(all.map(writer.write)).size === all.length);
}

/** One of some values, written so that it is told apart from the others. */
export const textAmong = (value: number, others: number[], writers: Writers): string => (writerFor(others, writers) ?? writers.at(-1)!).write(value);

/** The marks of an axis: told apart, and none rounded to where it does not stand. */
export function tickTexts(values: (number | null)[], writers: Writers): string[] {
  const all = values.filter((value) => value !== null);
  const writer = writerFor(all, writers, ({ whole }) => all.every(whole)) ?? writerFor(all, writers) ?? writers.at(-1)!;
  return values.map((value) => (value === null ? "" : writer.write(value)));
}

/** Whether two numbers are the same but for the last bits of a sum. */
const same = (one: number, other: number) => Math.abs(one - other) <= 1e-9 * Math.max(Math.abs(one), Math.abs(other), 1e-300);

/** Whether a number of seconds, or steps, is a multiple of a unit; their last digits are noise. */
const isMultiple = (value: number, unit: number) => Math.abs(value / unit - Math.round(value / unit)) < 1e-4;

/** Numbers with four digits, and with as many more as they need. */
export const numberWriters: Writers = [metric, ...[6, 8, 10, 12, 15].map((digits) => (value: number) => String(Number(value.toPrecision(digits))))].map((write) => ({ write, whole: (value) => same(Number(write(value)), value) }));

/** Seconds as `1m 04s`, then as `2h 05m 30s` and `1m 04.25s`. */
export const durationWriters: Writers = [
  { write: (seconds) => duration(seconds * 1000), whole: (seconds) => isMultiple(seconds, seconds < 9.95 ? 0.1 : seconds < 3600 ? 1 : seconds < 86_400 ? 60 : 3600) },
  ...[0, 1, 2, 3, 6].map((digits) => ({ write: (seconds: number) => longDuration(seconds, digits), whole: (seconds: number) => isMultiple(seconds, 10 ** -digits) })),
];

function longDuration(seconds: number, digits: number): string {
  // Rounded first, so that no part becomes 60.
  const size = Number(Math.abs(seconds).toFixed(digits));
  const two = (part: number) => String(part).padStart(2, "0");
  const hours = Math.floor(size / 3600);
  const minutes = Math.floor((size % 3600) / 60);
  const rest = `${(size % 60).toFixed(digits)}s`;
  const sign = seconds < 0 ? "-" : "";
  if (hours === 0 && minutes === 0) return sign + rest;
  const padded = rest.padStart(digits > 0 ? digits + 4 : 3, "0");
  return hours === 0 ? `${sign}${minutes}m ${padded}` : `${sign}${hours}h ${two(minutes)}m ${padded}`;
}

function clockOf(unit: number, more: Intl.DateTimeFormatOptions): Writer {
  const format = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...more });
  return { write: (seconds) => format.format(seconds * 1000), whole: (seconds) => isMultiple(seconds, unit) };
}

/** Moments on the clock, in seconds: the day to the minute; where that is one minute, or two, the time to the second and to its
    thousandth. */
export const clockWriters: Writers = [
  clockOf(60, { month: "short", day: "numeric" }),
  clockOf(1, { second: "2-digit" }),
  clockOf(0.1, { second: "2-digit", fractionalSecondDigits: 1 }),
  clockOf(0.001, { second: "2-digit", fractionalSecondDigits: 3 }),
];

/** Steps, which are whole; but for what lies between two of them. */
export const stepWriters: Writers = [3, 9].map((digits) => {
  const format = new Intl.NumberFormat("en-US", { maximumFractionDigits: digits });
  return { write: (value) => format.format(value), whole: (value) => isMultiple(value, 10 ** -digits) };
});
