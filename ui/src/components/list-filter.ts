/** Filters of a list that the page has whole: chips like `state:polling`, and words that any of a row's fields holds. Pure. */

/** What the rows of a list can be filtered by. */
export type Fields<T> = Record<string, (row: T) => string | number | null | undefined | readonly (string | number)[]>;

export interface ListChip {
  /** Empty: any field. */
  key: string;
  operator: "=" | "!=" | ">" | "<" | ">=" | "<=" | "~";
  value: string;
}

/** Reads `state:polling`, `queue=gpu,cpu`, `runs>10`, `host!=a`, `name~digits`, or plain words. */
export function parseListChip(text: string, keys: string[]): ListChip | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const found = /^([\w-]+)\s*(!=|>=|<=|=|:|>|<|~)\s*(.+)$/.exec(trimmed);
  const key = found?.[1]?.toLowerCase() ?? "";
  if (!found || !keys.includes(key)) return { key: "", operator: "~", value: trimmed };
  return { key, operator: (found[2] === ":" ? "=" : found[2]) as ListChip["operator"], value: found[3]!.trim() };
}

export const listChipText = (chip: ListChip) => (chip.key === "" ? chip.value : `${chip.key} ${chip.operator} ${chip.value}`);
/** The chip as one would type it, and as the address has it. */
export const listChipTyped = (chip: ListChip) => (chip.key === "" ? chip.value : `${chip.key}${chip.operator}${chip.value}`);

const textsOf = (value: ReturnType<Fields<never>[string]>): string[] =>
  (Array.isArray(value) ? (value as readonly (string | number)[]) : value === null || value === undefined ? [] : [value as string | number]).map((one) => String(one).toLowerCase());

function chipFits<T>(row: T, { key, operator, value }: ListChip, fields: Fields<T>): boolean {
  const wanted = value.toLowerCase();
  if (key === "") return textsOf(Object.values(fields).flatMap((read) => textsOf(read(row)))).join(" ").includes(wanted);
  const read = fields[key];
  // Another list of the same page has it: this one is not filtered by it.
  if (!read) return true;
  const texts = textsOf(read(row));
  const any = wanted.split(",").map((word) => word.trim()).filter(Boolean);
  if (operator === "~") return texts.some((text) => text.includes(wanted));
  if (operator === "=") return texts.some((text) => any.includes(text));
  if (operator === "!=") return !texts.some((text) => any.includes(text));
  const limit = Number(value);
  const numbers = texts.map(Number).filter(Number.isFinite);
  if (operator === ">") return numbers.some((one) => one > limit);
  if (operator === "<") return numbers.some((one) => one < limit);
  return operator === ">=" ? numbers.some((one) => one >= limit) : numbers.some((one) => one <= limit);
}

/** The rows that all chips fit. */
export const keepFitting = <T>(rows: T[], chips: ListChip[], fields: Fields<T>): T[] => (chips.length === 0 ? rows : rows.filter((row) => chips.every((chip) => chipFits(row, chip, fields))));

/** Values of a field that are suggested at most; more are numbers or free text, which nobody picks from a list. */
const SUGGESTED = 40;

/** What the fields of the rows hold, for suggestions. */
export function valuesOf<T>(rows: T[], fields: Fields<T>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, read]) => {
      const found = new Set<string>();
      for (const row of rows) {
        textsOf(read(row)).forEach((text) => text && found.add(text));
        if (found.size > SUGGESTED) return [];
      }
      return [[key, [...found].sort()]];
    }),
  );
}
