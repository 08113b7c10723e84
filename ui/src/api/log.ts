/** Parts of logs, and the end of one before the screen that shows it is there. */
import { ask, refusal, withQuery } from "./client";

/** A part of a log: its text, the number of its first line, and how many lines the log has now. */
export interface LogPart {
  text: string;
  first: number;
  lines: number;
}

/** How many lines from the end a log is opened with. */
export const TAIL = 1_000;
/** How long what was read ahead is fresh, in milliseconds: the stream goes on where it ends. */
const FRESH = 10_000;

let early: { path: string; part: Promise<LogPart>; at: number } | null = null;

/** Reads a part of a log route: `tail`, or `lines` lines from `from_line` on. */
export async function readLog(path: string, part: { tail?: number; from_line?: number; lines?: number }): Promise<LogPart> {
  if (early && part.tail === TAIL && early.path === path) {
    const { part: found, at } = early;
    early = null;
    if (Date.now() - at < FRESH) return found.catch(async () => read(path, part));
  }
  return read(path, part);
}

/** Begins to read the end of a log that will be opened. */
export function tailAhead(path: string) {
  if (early?.path === path && Date.now() - early.at < FRESH) return;
  early = { path, part: read(path, { tail: TAIL }), at: Date.now() };
  // Who opens the log reads again and is told.
  early.part.catch(() => undefined);
}

async function read(path: string, part: { tail?: number; from_line?: number; lines?: number }): Promise<LogPart> {
  const response = await ask(withQuery(path, part));
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  const own = text === "" ? 0 : text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  const first = Number(response.headers.get("x-log-first-line") ?? part.from_line ?? 1);
  return { text, first, lines: Number(response.headers.get("x-log-lines") ?? first - 1 + own) };
}
