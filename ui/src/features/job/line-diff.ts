/** The lines that differ between two texts, with some around them. Pure.
 *
 * Myers' algorithm between what the texts begin and end with alike. Texts that differ in very many lines are shown as one
 * replaced by the other: who compares them reads both anyway. */

export interface DiffLine {
  sign: " " | "+" | "-";
  text: string;
}

export interface Hunk {
  /** Numbers of the first line in either text, from 1. */
  before: number;
  after: number;
  lines: DiffLine[];
}

export interface LineDiff {
  hunks: Hunk[];
  added: number;
  removed: number;
}

/** Differences that are looked for; more take memory by their square. */
const MOST = 800;
/** Lines around a change. */
const AROUND = 3;

/** The shortest way from `a` to `b`, line by line; null when it is longer than `MOST`. */
function way(a: string[], b: string[]): DiffLine[] | null {
  const most = Math.min(a.length + b.length, MOST);
  const middle = most + 1;
  // The farthest place in `a` on each diagonal.
  const far = new Int32Array(2 * most + 3);
  const trace: Int32Array[] = [];
  for (let edits = 0; edits <= most; edits++) {
    trace.push(far.slice());
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const down = diagonal === -edits || (diagonal !== edits && far[middle + diagonal - 1]! < far[middle + diagonal + 1]!);
      let x = down ? far[middle + diagonal + 1]! : far[middle + diagonal - 1]! + 1;
      let y = x - diagonal;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x++;
        y++;
      }
      far[middle + diagonal] = x;
      if (x >= a.length && y >= b.length) return walkBack(a, b, trace, middle);
    }
  }
  return null;
}

function walkBack(a: string[], b: string[], trace: Int32Array[], middle: number): DiffLine[] {
  const lines: DiffLine[] = [];
  let [x, y] = [a.length, b.length];
  for (let edits = trace.length - 1; edits > 0; edits--) {
    const far = trace[edits]!;
    const diagonal = x - y;
    const down = diagonal === -edits || (diagonal !== edits && far[middle + diagonal - 1]! < far[middle + diagonal + 1]!);
    const before = down ? diagonal + 1 : diagonal - 1;
    const fromX = far[middle + before]!;
    const fromY = fromX - before;
    while (x > fromX && y > fromY) {
      lines.push({ sign: " ", text: a[--x]! });
      y--;
    }
    if (down) lines.push({ sign: "+", text: b[--y]! });
    else lines.push({ sign: "-", text: a[--x]! });
  }
  while (x > 0) lines.push({ sign: " ", text: a[--x]! });
  return lines.reverse();
}

export function lineDiff(before: string[], after: string[]): LineDiff {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < before.length - head && tail < after.length - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const [a, b] = [before.slice(head, before.length - tail), after.slice(head, after.length - tail)];
  const plain = (sign: DiffLine["sign"]) => (text: string): DiffLine => ({ sign, text });
  const middle = way(a, b) ?? [...a.map(plain("-")), ...b.map(plain("+"))];
  // Only what may stand around a change is kept of the equal ends.
  const first = Math.max(0, head - AROUND);
  const lines = [...before.slice(first, head).map(plain(" ")), ...middle, ...before.slice(before.length - tail, before.length - tail + AROUND).map(plain(" "))];
  return { hunks: hunksOf(lines, first), added: middle.filter((line) => line.sign === "+").length, removed: middle.filter((line) => line.sign === "-").length };
}

/** Cuts where more lines are equal than stand around changes. `skipped` lines are before the first in both texts. */
function hunksOf(lines: DiffLine[], skipped: number): Hunk[] {
  const hunks: Hunk[] = [];
  let [before, after] = [skipped + 1, skipped + 1];
  let open: Hunk | null = null;
  let lastChange = -Infinity;
  lines.forEach((line, index) => {
    const near = line.sign !== " " || lines.slice(index + 1, index + 1 + AROUND).some((next) => next.sign !== " ") || index - lastChange <= AROUND;
    if (line.sign !== " ") lastChange = index;
    if (near) {
      if (!open) {
        open = { before, after, lines: [] };
        hunks.push(open);
      }
      open.lines.push(line);
    } else {
      open = null;
    }
    if (line.sign !== "+") before++;
    if (line.sign !== "-") after++;
  });
  return hunks;
}

/** The hunks up to a number of lines. */
export function firstLines(hunks: Hunk[], most: number): Hunk[] {
  const kept: Hunk[] = [];
  let room = most;
  for (const hunk of hunks) {
    if (room <= 0) break;
    kept.push({ ...hunk, lines: hunk.lines.slice(0, room) });
    room -= hunk.lines.length;
  }
  return kept;
}
