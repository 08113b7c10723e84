/** The axis of a scatter: numbers on a scale, words side by side. Pure. */
import { roundTicks } from "../../components/ticks";
import { byName, metric } from "../../format/text";

export interface ScatterAxis {
  /** Where a value stands; null when it has no place. */
  place: (value: unknown) => number | null;
  ticks: { at: number; text: string }[];
}

/** Words that an axis has room for. */
const WORDS = 12;

function powersOfTen(low: number, high: number): number[] {
  const found: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(10 ** power);
  const inside = found.filter((one) => one >= low * 0.999 && one <= high * 1.001);
  return inside.length > 1 ? inside : [low, high];
}

/** An axis for these values over the pixels `[from, to]`. Mixed values are words. */
export function axisOf(values: unknown[], log: boolean, [from, to]: [number, number], n: number): ScatterAxis {
  const there = values.filter((value) => value !== undefined && value !== null);
  if (there.some((value) => typeof value !== "number")) return wordAxis(there, from, to);
  const numbers = (there as number[]).filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (numbers.length === 0) return { place: () => null, ticks: [] };
  const scale = log ? Math.log10 : (value: number) => value;
  const low = numbers.reduce((a, b) => Math.min(a, b));
  const high = numbers.reduce((a, b) => Math.max(a, b));
  // A little room, so that no point lies on the edge.
  const room = (scale(high) - scale(low)) * 0.04 || 0.5;
  const [begin, end] = [scale(low) - room, scale(high) + room];
  const pixel = (value: number) => from + ((scale(value) - begin) / (end - begin)) * (to - from);
  return {
    place: (value) => (typeof value === "number" && Number.isFinite(value) && (!log || value > 0) ? pixel(value) : null),
    ticks: (log ? powersOfTen(low, high) : roundTicks(low, high, n)).map((value) => ({ at: pixel(value), text: metric(value) })),
  };
}

function wordAxis(values: unknown[], from: number, to: number): ScatterAxis {
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  const words = [...new Set(values.map(text))].sort(byName).slice(0, WORDS);
  const pixel = (index: number) => from + ((index + 0.5) / words.length) * (to - from);
  return {
    place: (value) => {
      const index = value === undefined || value === null ? -1 : words.indexOf(text(value));
      return index < 0 ? null : pixel(index);
    },
    ticks: words.map((word, index) => ({ at: pixel(index), text: word.length > 12 ? `${word.slice(0, 11)}…` : word })),
  };
}
