/** How numbers, times and sizes are written, everywhere the same. */
import { writeExactly } from "../api/exact";

/** `1m 04s`, `2h 05m`, `3d 04h`; below ten seconds with a tenth. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (n: number) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m ${two(whole % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}

/** The time between two moments; to now when the second is missing. */
export function between(from: string | null | undefined, to: string | null | undefined, now = Date.now()): string {
  if (!from) return "–";
  return duration((to ? Date.parse(to) : now) - Date.parse(from));
}

/** `3m ago`, `in 2h`; the exact time is the title of the element that shows it. */
export function ago(time: string, now = Date.now()): string {
  const ms = now - Date.parse(time);
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 5) return "now";
  const steps: [number, string][] = [[60, "s"], [60, "m"], [24, "h"], [30, "d"], [12, "mo"]];
  let value = seconds;
  let unit = "y";
  for (const [size, word] of steps) {
    if (value < size) {
      unit = word;
      break;
    }
    value = Math.floor(value / size);
  }
  return ms < 0 ? `in ${value}${unit}` : `${value}${unit} ago`;
}

// Made once: a formatter costs more than what it formats.
const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const times = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Local time of the day to the second. */
export function clock(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : times.format(date);
}

/** Local time to the second, for titles. */
export function exact(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return `${days.format(date)}, ${times.format(date)} (${time})`;
}

/** Four significant digits, without noise: `0.9315`, `12.4`, `1.2e-7`. */
export function metric(value: unknown): string {
  if (typeof value === "string" && (value === "NaN" || value === "Infinity" || value === "-Infinity")) return value;
  if (typeof value !== "number") return value === null || value === undefined ? "–" : shortJson(value);
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return String(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/** Binary units: `1.5 KiB`. */
export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  let value = size;
  let unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB", "PiB"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${unit}`;
}

/** JSON on one line, for a cell. */
export function shortJson(value: unknown): string {
  return typeof value === "string" ? value : writeExactly(value);
}

const names = new Intl.Collator("en", { numeric: true });

/** Orders names as people do: `layer2` before `layer10`. One collator for all: `localeCompare` makes one at each call, which
    takes seconds for a thousand keys. */
export const byName = (a: string, b: string): number => names.compare(a, b);

/** `1 item`, `2 items`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
}

/** Quotes a word for a POSIX shell. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@=+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What starts an agent of a queue, for a shell: names may hold what a shell reads as its own. */
export const agentCommand = (queue: string, entity: string): string => `lanza agent -q ${shellWord(queue)} -e ${shellWord(entity)}`;
