/** Usage over time. The server sums up from a moment until now, so a slice is the difference of two such sums. */
import { queryOptions } from "@tanstack/react-query";
import { usageQuery } from "../../api/queries";
import type { Usage } from "../../api/types";
import { timeLabel } from "../../components/ticks";

const HOUR = 3_600_000;
/** Keys that have a colour of their own; the rest is one. */
const SHOWN = 6;

/** Begins of the slices, the oldest first: days, hours of a single day, weeks of a quarter. They are fixed to the clock, so
    that what was asked for is known a minute later. */
export function slices(days: number, now: number): number[] {
  const width = days <= 1 ? 2 * HOUR : days <= 31 ? 24 * HOUR : 7 * 24 * HOUR;
  const offset = width < 24 * HOUR ? 0 : new Date(now).getTimezoneOffset() * 60_000;
  const last = Math.floor((now - offset) / width) * width + offset;
  const count = Math.ceil((days * 24 * HOUR) / width);
  return Array.from({ length: count }, (_, index) => last - (count - 1 - index) * width);
}

/** Hours by key and slice, from sums that each run from a begin until now. */
export function course(sums: Pick<Usage, "key" | "wall_hours">[][]): { name: string; values: number[] }[] {
  const totals = new Map(sums[0]?.map((row) => [row.key, row.wall_hours]));
  const keys = [...totals].filter(([, hours]) => hours > 0).sort(([, a], [, b]) => b - a).map(([key]) => key);
  const at = sums.map((rows) => new Map(rows.map((row) => [row.key, row.wall_hours])));
  const hours = (key: string) => at.map((sum, index) => Math.max(0, (sum.get(key) ?? 0) - (at[index + 1]?.get(key) ?? 0)));
  const rest = keys.slice(SHOWN).map(hours);
  const shown = keys.slice(0, SHOWN).map((key) => ({ name: key, values: hours(key) }));
  if (rest.length === 0) return shown;
  return [...shown, { name: `${rest.length} more`, values: sums.map((_, index) => rest.reduce((sum, values) => sum + values[index]!, 0)) }];
}

export const courseQuery = (by: string, days: number, entities: string[]) =>
  queryOptions({
    queryKey: ["usage", "course", by, days, ...entities],
    queryFn: async ({ client }) => {
      const begins = slices(days, Date.now());
      const sums: Usage[][] = [];
      // One after the other: it is background to the table.
      for (const begin of begins) sums.push(await client.fetchQuery({ ...usageQuery(by, new Date(begin).toISOString(), entities), staleTime: 60_000 }));
      const range = Date.now() - begins[0]!;
      return { labels: begins.map((begin) => timeLabel(begin, range)), series: course(sums) };
    },
    staleTime: 60_000,
  });
