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
