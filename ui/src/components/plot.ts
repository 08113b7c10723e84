/** Series to what is drawn: smoothing, axes, one table of columns. Pure. */
import type { Measured, Series } from "../api/types";
import { byName } from "../format/text";

/** Steps, seconds since the run began, or the clock on the wall. */
export type XAxis = "step" | "time" | "clock";

/** Exponential smoothing that starts without a bias; 0 leaves the values. */
export function smooth(values: (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return values;
  let last = 0;
  let seen = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return value;
    last = last * weight + (1 - weight) * value;
    seen++;
    return last / (1 - weight ** seen);
  });
}

/** What has a place on an axis. */
export const finite = (value: Measured): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

export interface Line {
  /** What the legend says. */
  label: string;
  colour: string;
  dash: number[];
  points: Series;
  /** Seconds by step, for the axes of time. */
  times?: Series | undefined;
}

/** Seconds at a step, between the two points around it. */
export function timeAt(times: Series, step: number): number | null {
  if (times.length === 0) return null;
  let low = 0;
  let high = times.length - 1;
  if (step <= times[0]![0]) return finite(times[0]![1]);
  if (step >= times[high]![0]) return finite(times[high]![1]);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle]![0] <= step) low = middle;
    else high = middle;
  }
  const [from, to] = [times[low]!, times[high]!];
  const [begin, end] = [finite(from[1]), finite(to[1])];
  if (begin === null || end === null) return begin ?? end;
  const share = to[0] === from[0] ? 0 : (step - from[0]) / (to[0] - from[0]);
  return begin + share * (end - begin);
}

/** The step at a moment: `timeAt` the other way round. Times rise with steps, as clocks do. */
export function stepAt(times: Series, seconds: number): number | null {
  return timeAt(
    times.flatMap(([step, value]) => {
      const at = finite(value);
      return at === null ? [] : [[at, step, step, step] as Series[number]];
    }),
    seconds,
  );
}

export interface Columns {
  x: number[];
  /** Per line: smoothed value, raw value, least, most; all over `x`. */
  lines: {
    value: (number | null)[];
    raw: (number | null)[];
    min: (number | null)[];
    max: (number | null)[];
    /** Values that have no place on an axis, by their place in `x`. */
    odd: Map<number, Measured>;
  }[];
}

/** Puts lines with their own steps over one axis; a line has null where it has no point. */
export function columns(lines: Line[], axis: XAxis, weight: number): Columns {
  const own = lines.map((line) =>
    line.points
      .map(([step, value, min, max]) => ({ x: axis !== "step" && line.times ? timeAt(line.times, step) : step, value, min, max }))
      .filter((point): point is typeof point & { x: number } => point.x !== null),
  );
  const x = [...new Set(own.flatMap((points) => points.map((point) => point.x)))].sort((a, b) => a - b);
  const place = new Map(x.map((value, index) => [value, index]));
  return {
    x,
    lines: own.map((points) => {
      const empty = () => new Array<number | null>(x.length).fill(null);
      const columns = { value: empty(), raw: empty(), min: empty(), max: empty(), odd: new Map<number, Measured>() };
      const values = points.map((point) => finite(point.value));
      const smoothed = smooth(values, weight);
      points.forEach((point, index) => {
        const at = place.get(point.x)!;
        columns.value[at] = smoothed[index]!;
        columns.raw[at] = values[index]!;
        columns.min[at] = finite(point.min);
        columns.max[at] = finite(point.max);
        if (values[index] === null) columns.odd.set(at, point.value);
      });
      return columns;
    }),
  };
}

/** Why nothing of some columns can be drawn, where that is so. */
export function whyNothing(data: Columns, log: boolean): string | null {
  const some = (test: (value: number) => boolean) => data.lines.some((line) => [line.value, line.max].some((column) => column.some((value) => value !== null && test(value))));
  if (!some(() => true)) {
    const words = [...new Set(data.lines.flatMap((line) => [...line.odd.values()]))];
    return words.length > 0 ? `No number is finite: all are ${words.join(" or ")}.` : "No numbers.";
  }
  if (log && !some((value) => value > 0)) return "No value is above zero: a log axis has no place for them.";
  return null;
}

/** Names with what tells them apart, where several are the same. */
export function toldApart(names: { label: string; id: string }[]): string[] {
  const seen = new Map<string, number>();
  for (const { label } of names) seen.set(label, (seen.get(label) ?? 0) + 1);
  return names.map(({ label, id }) => (seen.get(label)! > 1 ? `${label} (${id})` : label));
}

/** A line's value at an index of the shared axis, or the nearest one: lines have their own steps. */
export function valueNear(column: (number | null)[], index: number, reach = 40): number | null {
  for (let far = 0; far <= reach; far++) {
    const value = column[index - far] ?? column[index + far];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** Ten colours that colour-blind readers tell apart; then the same with dashes. */
const palette = ["#4269d0", "#d9822b", "#d6453d", "#178f8f", "#3c9a4d", "#c2559d", "#8055cf", "#94663c", "#6b8ba4", "#a39021"];
const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

/** The colour and dash of a run, by its number in its project: the same in table and charts, for everybody, and runs that were
    made one after the other differ. */
export function colourOf(number: number): { colour: string; dash: number[] } {
  const index = Math.max(0, number - 1);
  return { colour: palette[index % palette.length]!, dash: dashes[Math.floor(index / palette.length) % dashes.length]! };
}

/** Groups keys by what stands before their first slash; keys without one come first. */
export function grouped(keys: string[]): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const key of [...keys].sort(byName)) {
    const at = key.indexOf("/");
    const group = at > 0 ? key.slice(0, at) : "";
    groups.set(group, [...(groups.get(group) ?? []), key]);
  }
  return [...groups].sort(([a], [b]) => (a === "" ? -1 : b === "" ? 1 : byName(a, b)));
}

/** The keys that a search finds: a regular expression where it is one, a part of the name otherwise. */
export function keysThatFit(keys: string[], text: string): string[] {
  if (text === "") return keys;
  try {
    const pattern = new RegExp(text, "i");
    return keys.filter((key) => pattern.test(key));
  } catch {
    return keys.filter((key) => key.includes(text));
  }
}
