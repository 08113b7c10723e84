/** Terminal text to styled pieces. Nothing becomes HTML: pieces are drawn as text with classes. */
export interface Piece {
  text: string;
  classes: string;
}

interface Style {
  fg: number | null;
  bg: number | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

const plain: Style = { fg: null, bg: null, bold: false, dim: false, italic: false, underline: false };

function classesOf(style: Style): string {
  const names = [
    style.fg === null ? "" : `ansi-fg-${style.fg}`,
    style.bg === null ? "" : `ansi-bg-${style.bg}`,
    style.bold ? "ansi-b" : "",
    style.dim ? "ansi-d" : "",
    style.italic ? "ansi-i" : "",
    style.underline ? "ansi-u" : "",
  ];
  return names.filter(Boolean).join(" ");
}

/** The nearest of the 16 colours: themes define those and no others. */
function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  const bit = (value: number) => (value > most / 2 && value > 50 ? 1 : 0);
  const low = bit(red) | (bit(green) << 1) | (bit(blue) << 2);
  return low === 0 ? 8 : low === 7 && most < 160 ? 8 : low;
}

function of256(index: number): number {
  if (index < 16) return index;
  if (index >= 232) return index < 244 ? 8 : 7;
  const n = index - 16;
  return nearest(Math.floor(n / 36) * 51, (Math.floor(n / 6) % 6) * 51, (n % 6) * 51);
}

function apply(style: Style, codes: number[]): Style {
  let next = { ...style };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 0) next = { ...plain };
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 23) next.italic = false;
    else if (code === 24) next.underline = false;
    else if (code === 39) next.fg = null;
    else if (code === 49) next.bg = null;
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 100 && code <= 107) next.bg = code - 92;
    else if (code === 38 || code === 48) {
      let colour: number | null = null;
      if (codes[i + 1] === 5) {
        colour = of256(codes[i + 2] ?? 0);
        i += 2;
      } else if (codes[i + 1] === 2) {
        colour = nearest(codes[i + 2] ?? 0, codes[i + 3] ?? 0, codes[i + 4] ?? 0);
        i += 4;
      }
      if (code === 38) next.fg = colour;
      else next.bg = colour;
    }
  }
  return next;
}

// A colour sequence, any other control sequence, an operating-system command, or a lone control character.
// eslint-disable-next-line no-control-regex
const sequence = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g;

/** What is left of a line that a program drew again with carriage returns: the last drawing. */
export function lastDrawing(line: string): string {
  const trimmed = line.replace(/\r+$/, "");
  const at = trimmed.lastIndexOf("\r");
  return at < 0 ? trimmed : trimmed.slice(at + 1);
}

/** Splits a line at its colours; other control sequences are left out. */
export function pieces(line: string): Piece[] {
  const text = lastDrawing(line);
  if (!text.includes("\x1b") && !/[\x00-\x08]/.test(text)) return [{ text, classes: "" }]; // eslint-disable-line no-control-regex
  const found: Piece[] = [];
  let style = plain;
  let from = 0;
  const push = (to: number) => {
    if (to > from) found.push({ text: text.slice(from, to), classes: classesOf(style) });
  };
  for (const match of text.matchAll(sequence)) {
    push(match.index);
    if (match[1] !== undefined) style = apply(style, match[1].split(/[;:]/).map(Number));
    from = match.index + match[0].length;
  }
  push(text.length);
  return found;
}

/** The text without any control sequence: for search and download. */
export const plainText = (line: string) => pieces(line).map((piece) => piece.text).join("");
