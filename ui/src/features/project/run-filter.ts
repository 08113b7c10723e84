/** Filter chips of the runs table and the JSON document that the public API takes. Pure. */
import type { Json } from "../../api/types";

export interface Chip {
  /** `state`, `tags`, `config.lr`, `summary_metrics.loss` … as the public API calls it. */
  key: string;
  operator: "=" | "!=" | ">" | "<" | ">=" | "<=" | "~";
  value: string;
}

const words: Record<Chip["operator"], string> = { "=": "$eq", "!=": "$ne", ">": "$gt", "<": "$lt", ">=": "$gte", "<=": "$lte", "~": "$regex" };

/** Reads `lr>0.1`, `state:running`, `tag=baseline`, `summary.loss<=0.2`, or plain words: a part of the name. */
export function parseChip(text: string): Chip | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const found = /^([\w./-]+?)\s*(!=|>=|<=|=|:|>|<|~)\s*(.+)$/.exec(trimmed);
  if (!found) return { key: "display_name", operator: "~", value: trimmed };
  const operator = (found[2] === ":" ? "=" : found[2]) as Chip["operator"];
  return { key: keyOf(found[1]!), operator, value: found[3]!.trim() };
}

const known = new Set(["state", "name", "display_name", "tags", "username", "created_at", "heartbeat_at", "group", "job_type", "host", "duration"]);

function keyOf(typed: string): string {
  const aliases: Record<string, string> = { tag: "tags", author: "username", user: "username", created: "created_at", run: "display_name" };
  const key = aliases[typed] ?? typed;
  if (known.has(key)) return key;
  if (key.startsWith("summary.")) return `summary_metrics.${key.slice("summary.".length)}`;
  if (key.startsWith("config.") || key.startsWith("summary_metrics.")) return key;
  return `config.${key}`;
}

function valueOf(text: string): Json {
  if (/^".*"$/.test(text)) return text.slice(1, -1);
  if (text === "true" || text === "false") return text === "true";
  const number = Number(text);
  return text !== "" && Number.isFinite(number) ? number : text;
}

/** The filter document, or undefined when nothing is filtered. */
export function filterOf(chips: Chip[]): string | undefined {
  if (chips.length === 0) return undefined;
  const tests = chips.map(({ key, operator, value }) => {
    const wanted = operator === "~" ? value : valueOf(value);
    // The client's own spelling of equality is the bare value.
    return { [key]: operator === "=" ? wanted : { [words[operator]]: wanted } };
  });
  return JSON.stringify(tests.length === 1 ? tests[0] : { $and: tests });
}

export const chipText = (chip: Chip) => `${chip.key.replace("summary_metrics.", "summary.").replace("display_name", "name")} ${chip.operator} ${chip.value}`;

/** Chips in the address: one text each. */
export const chipsFrom = (texts: string[]): Chip[] => texts.map(parseChip).filter((chip): chip is Chip => chip !== null);
export const chipKey = (chip: Chip) => `${chip.key}${chip.operator}${chip.value}`;
