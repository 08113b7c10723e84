/** Filter chips of the runs table and the JSON document that the public API takes. Pure. */
import type { Json, JsonObject } from "../../api/types";

export interface Chip {
  /** `state`, `tags`, `config.lr`, `summary_metrics.loss` … as the public API calls it. */
  key: string;
  operator: "=" | "!=" | ">" | "<" | ">=" | "<=" | "~" | "has";
  value: string;
}

const words: Record<Exclude<Chip["operator"], "has">, string> = { "=": "$eq", "!=": "$ne", ">": "$gt", "<": "$lt", ">=": "$gte", "<=": "$lte", "~": "$regex" };

/** Keys of documents may have any letter in them, others are words. */
const shape = /^((?:config|summary|summary_metrics)\..+?|[\p{L}\p{N}_./-]+?)\s*(!=|>=|<=|=|:|>|<|~)\s*(.+)$/u;
const quoted = /^".*"$/;

/** Reads `lr>0.1`, `state:running,failed`, `tag=baseline`, `summary.loss<=0.2`, `lr=*` (it is there), or plain words: a
    part of the name, in quotes where they would read as something else. */
export function parseChip(text: string): Chip | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const found = quoted.test(trimmed) ? null : shape.exec(trimmed);
  if (!found) return { key: "display_name", operator: "has", value: bare(trimmed) };
  const operator = (found[2] === ":" ? "=" : found[2]) as Chip["operator"];
  return { key: keyOf(found[1]!), operator, value: found[3]!.trim() };
}

const known = new Set(["state", "name", "display_name", "tags", "username", "created_at", "heartbeat_at", "group", "job_type", "host", "duration", "sweep", "notes", "commit"]);

function keyOf(typed: string): string {
  const aliases: Record<string, string> = { tag: "tags", author: "username", user: "username", created: "created_at", run: "display_name", name: "display_name", id: "name" };
  const key = aliases[typed] ?? typed;
  if (known.has(key)) return key;
  if (key.startsWith("summary.")) return `summary_metrics.${key.slice("summary.".length)}`;
  if (key.startsWith("config.") || key.startsWith("summary_metrics.")) return key;
  return `config.${key}`;
}

/** The keys that runs have whatever they log; `config.` and `summary.` come from the runs. */
export const ownKeys = ["state", "name", "tags", "author", "created_at", "group", "job_type", "host", "duration", "sweep", "notes"];

/** Keys whose values are text, also where it reads as a number. */
const texts = new Set(["state", "name", "display_name", "tags", "username", "group", "job_type", "host", "sweep", "notes", "commit"]);

const bare = (text: string) => (quoted.test(text) && text.length > 1 ? text.slice(1, -1) : text);

/** A text as the value of a chip that means just it. */
export const quotedValue = (text: string) => (text.includes(",") || text === "*" || quoted.test(text) || text.trim() !== text ? `"${text}"` : text);

/** What a regular expression of the server takes for itself. */
const escaped = (text: string) => text.replace(/[\\.+*?()|[\]{}^$#&~-]/g, "\\$&");

function valueOf(key: string, text: string): Json {
  if (quoted.test(text) || texts.has(key)) return bare(text);
  if (text === "true" || text === "false") return text === "true";
  const number = Number(text);
  return text !== "" && Number.isFinite(number) ? number : text;
}

/** The filter document, or undefined when nothing is filtered. */
export function filterOf(chips: Chip[]): string | undefined {
  if (chips.length === 0) return undefined;
  const tests = chips.map(({ key, operator, value }): JsonObject => {
    if (operator === "~") return { [key]: { $regex: value } };
    if (operator === "has") return { [key]: { $regex: `(?i)${escaped(value)}` } };
    const equality = operator === "=" || operator === "!=";
    if (equality && value === "*") return { [key]: { $exists: operator === "=" } };
    // Quotes keep a comma in a value.
    const many = equality && !quoted.test(value) ? value.split(",").map((word) => word.trim()).filter(Boolean) : [];
    if (many.length > 1) return { [key]: { [operator === "=" ? "$in" : "$nin"]: many.map((one) => valueOf(key, one)) } };
    // The client's own spelling of equality is the bare value.
    return { [key]: operator === "=" ? valueOf(key, value) : { [words[operator]]: valueOf(key, value) } };
  });
  return JSON.stringify(tests.length === 1 ? tests[0] : { $and: tests });
}

const shownKey = (key: string) => key.replace("summary_metrics.", "summary.").replace("display_name", "name").replace("username", "author");

export const chipText = (chip: Chip) => `${shownKey(chip.key)} ${chip.operator} ${chip.value}`;
/** The chip as one would type it. */
export const chipTyped = (chip: Chip) => (chip.operator === "has" ? plainly(chip.value) : `${shownKey(chip.key)}${chip.operator}${chip.value}`);

/** Words that read as themselves. */
const plainly = (text: string) => (shape.test(text) || quoted.test(text) || text.trim() !== text ? `"${text}"` : text);

/** Chips in the address: one text each. */
export const chipsFrom = (texts: string[]): Chip[] => texts.map(parseChip).filter((chip): chip is Chip => chip !== null);
export const chipKey = (chip: Chip) => (chip.operator === "has" ? plainly(chip.value) : `${chip.key}${chip.operator}${chip.value}`);
