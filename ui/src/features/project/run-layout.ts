/** How the columns of the runs table stand, as the address says it: which ones, in which order, how wide, which stay at the left. */
import { put } from "../../app/address";

/** A column: one of the run's own, `config.KEY` or `summary.KEY`. */
export interface RunColumn {
  key: string;
  name: string;
  /** The key that the server orders by; none: it does not. */
  order: string | null;
  /** In pixels, until somebody drags it. */
  width: number;
}

/** Columns of the run itself. */
const own: Record<string, Omit<RunColumn, "key">> = {
  state: { name: "State", order: "state", width: 104 },
  author: { name: "By", order: "username", width: 96 },
  created: { name: "Created", order: "created_at", width: 100 },
  duration: { name: "Ran", order: "duration", width: 84 },
  tags: { name: "Tags", order: null, width: 140 },
  job: { name: "Job", order: null, width: 160 },
  group: { name: "Group", order: "group", width: 120 },
  job_type: { name: "Job type", order: "job_type", width: 100 },
  host: { name: "Host", order: "host", width: 120 },
  notes: { name: "Notes", order: null, width: 180 },
  id: { name: "Id", order: "name", width: 100 },
};

export const ownColumns = Object.keys(own);

export function columnOf(key: string): RunColumn {
  const found = own[key];
  if (found) return { key, ...found };
  if (key.startsWith("config.")) return { key, name: key.slice(7), order: key, width: 110 };
  return { key, name: key.slice(8), order: `summary_metrics.${key.slice(8)}`, width: 110 };
}

export interface RunLayout {
  /** The keys of the columns that somebody chose, in their order; null: the default ones. */
  columns: string[] | null;
  /** Widths that somebody dragged, in pixels. */
  widths: Record<string, number>;
  /** Columns that stay at the left while one scrolls. */
  pinned: string[];
}

export const LEAST_WIDTH = 48;
export const MOST_WIDTH = 900;

/** A width that a column can have, in whole pixels. */
export const fitting = (width: number) => Math.round(Math.min(MOST_WIDTH, Math.max(LEAST_WIDTH, width)));

/** Keys as one parameter. A comma stands between them, and may stand in one. */
export const keysText = (keys: string[]) => keys.map((key) => key.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");

const keysOf = (text: string | null): string[] =>
  text
    ?.split(",")
    .filter(Boolean)
    .map((key) => key.replaceAll("%2C", ",").replaceAll("%25", "%")) ?? [];

/** Keys of columns that can be, each once. */
const columnsIn = (text: string | null): string[] => [...new Set(keysOf(text))].filter((key) => Object.hasOwn(own, key) || /^(config|summary)\../.test(key));

/** Reads the layout from an address; what makes no sense is left out. */
export function layoutOf(params: URLSearchParams): RunLayout {
  const widths: Record<string, number> = {};
  for (const one of keysOf(params.get("widths"))) {
    const found = /^(.+):(\d+)$/.exec(one);
    if (found) widths[found[1]!] = fitting(Number(found[2]));
  }
  return { columns: params.has("columns") ? columnsIn(params.get("columns")) : null, widths, pinned: columnsIn(params.get("pinned")) };
}

/** Writes what differs from the default, so that plain addresses stay short. */
export function writeLayout(params: URLSearchParams, change: Partial<RunLayout>) {
  if (change.columns !== undefined) put(params, "columns", change.columns && keysText(change.columns));
  if (change.widths) put(params, "widths", keysText(Object.entries(change.widths).map(([key, width]) => `${key}:${fitting(width)}`)));
  if (change.pinned) put(params, "pinned", keysText(change.pinned));
}

/** The columns with `key` a place further (`step` 1 or -1) among those that stand with it: pinned ones or the others. */
export function stepped(columns: string[], pinned: string[], key: string, step: 1 | -1): string[] {
  const beside = columns.filter((one) => pinned.includes(one) === pinned.includes(key));
  const other = beside[beside.indexOf(key) + step];
  return other === undefined ? columns : columns.map((one) => (one === key ? other : one === other ? key : one));
}

/** The columns with `key` in the place of `onto`, whichever side it came from; there it is pinned as `onto` is. */
export function dropped(columns: string[], pinned: string[], key: string, onto: string): { columns: string[]; pinned: string[] } {
  const shown = [...columns.filter((one) => pinned.includes(one)), ...columns.filter((one) => !pinned.includes(one))];
  const [from, to] = [shown.indexOf(key), shown.indexOf(onto)];
  if (from < 0 || to < 0 || from === to) return { columns, pinned };
  const next = shown.filter((one) => one !== key);
  next.splice(to, 0, key);
  const others = pinned.filter((one) => one !== key);
  return { columns: next, pinned: pinned.includes(onto) ? [...others, key] : others };
}
