/** Which lines of a very long log are laid out: a scrolled area ends at some 17 million pixels, so it holds a window that moves. */

/** Lines of the window at most. */
export const MOST_ROWS = 900_000;

/** Lines before the window that ends with the log. */
export const endOf = (total: number) => Math.max(0, total - MOST_ROWS);

/** Lines before a window that holds a line: the one that is there where it does, else one around the line. */
export function holding(before: number, line: number, total: number): number {
  if (line > before && line <= before + MOST_ROWS) return before;
  return Math.min(endOf(total), Math.max(0, Math.floor(line - MOST_ROWS / 2)));
}

/** Lines before the window that lies half a window earlier. */
export const earlier = (before: number) => Math.max(0, before - MOST_ROWS / 2);

/** Lines before the window that lies half a window later. */
export const later = (before: number, total: number) => Math.min(endOf(total), before + MOST_ROWS / 2);
