/** Integers that a number of the browser does not hold: `12345678901234567` would be read as …568. Where one is in an answer, what
    is shown of it has its digits as the server wrote them. */
import type { JsonObject, Run } from "./types";

/** Begins the text that stands for such an integer within JSON; nothing else begins so. */
const MARK = "\ue000integer:";

/** An integer by its digits. It is for showing: it is no number, and in a request it would be refused, not rounded. */
export class Exact {
  readonly #digits: string;

  constructor(digits: string) {
    this.#digits = digits;
  }

  toString(): string {
    return this.#digits;
  }

  toJSON(): string {
    return MARK + this.#digits;
  }
}

/** Whether a text may have such an integer; most have none, and are not looked at further. */
const LONG = /[\s:,[]-?\d{16,}[\s,}\]]/;
/** Strings, in which digits are letters, and numbers. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

const isRounded = (token: string) => token.length > 15 && /^-?\d+$/.test(token) && BigInt(token) !== BigInt(Number(token));

/** Reads JSON with `Exact` for integers that would be rounded; null where there is none. */
export function readExactly(text: string): unknown {
  if (!LONG.test(text)) return null;
  let found = false;
  const marked = text.replace(TOKEN, (token) => {
    if (token.startsWith('"') || !isRounded(token)) return token;
    found = true;
    return `"${MARK}${token}"`;
  });
  if (!found) return null;
  return JSON.parse(marked, (_key, value: unknown) => (typeof value === "string" && value.startsWith(MARK) ? new Exact(value.slice(MARK.length)) : value));
}

/** Writes JSON in which such integers have their digits. */
export function writeExactly(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? "";
  return text.includes(MARK) ? text.replaceAll(new RegExp(`"${MARK}(-?\\d+)"`, "g"), "$1") : text;
}

interface Exactly {
  config: JsonObject;
  summary: JsonObject;
}

/** Puts what a run has exactly beside what can be counted with. */
function beside(run: Run, exact: Exactly): Run {
  return hasExact(exact.config) || hasExact(exact.summary) ? { ...run, exact: { config: exact.config, summary: exact.summary } } : run;
}

const hasExact = (value: unknown): boolean => value instanceof Exact || (typeof value === "object" && value !== null && Object.values(value).some(hasExact));

/** The answer with one run. */
export function runOf(text: string): Run {
  const { run } = JSON.parse(text) as { run: Run };
  const exact = readExactly(text) as { run: Exactly } | null;
  return exact ? beside(run, exact.run) : run;
}

/** The answer with a page of runs. */
export function runsOf(text: string): { items: Run[]; next?: string | null } {
  const page = JSON.parse(text) as { items: Run[]; next?: string | null };
  const exact = readExactly(text) as { items: Exactly[] } | null;
  return exact ? { ...page, items: page.items.map((run, index) => beside(run, exact.items[index]!)) } : page;
}
