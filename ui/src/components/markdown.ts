/** Markdown to blocks of plain pieces: what notes need and no more. Nothing becomes HTML; text is drawn as text. Pure. */

export type Inline =
  | { kind: "text" | "code"; text: string }
  | { kind: "strong" | "em" | "del"; inner: Inline[] }
  | { kind: "link"; href: string; inner: Inline[] };

export type Block =
  | { kind: "heading"; level: number; inner: Inline[] }
  | { kind: "paragraph"; inner: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; ordered: boolean; items: Block[][] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] }
  | { kind: "rule" };

/** Nesting that is followed; what lies deeper stays text. */
const DEPTH = 6;

/** An address that a link may have: the web, mail, or a place on this server. */
export function safeHref(text: string): string | null {
  const trimmed = text.trim();
  return /^(https?:\/\/|mailto:)[^\s]+$/i.test(trimmed) || /^[/#](?!\/)[^\s]*$/.test(trimmed) ? trimmed : null;
}

const patterns: [RegExp, (found: RegExpExecArray, depth: number) => Inline | null][] = [
  [/^(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/, (found) => ({ kind: "code", text: found[2]!.trim() })],
  [/^\*\*(?=\S)([\s\S]*?\S)\*\*/, (found, depth) => ({ kind: "strong", inner: inlines(found[1]!, depth) })],
  [/^__(?=\S)([\s\S]*?\S)__(?!\w)/, (found, depth) => ({ kind: "strong", inner: inlines(found[1]!, depth) })],
  [/^~~(?=\S)([\s\S]*?\S)~~/, (found, depth) => ({ kind: "del", inner: inlines(found[1]!, depth) })],
  [/^\*(?=\S)([^*]*[^*\s])\*/, (found, depth) => ({ kind: "em", inner: inlines(found[1]!, depth) })],
  [/^_(?=\S)([^_]*[^_\s])_(?!\w)/, (found, depth) => ({ kind: "em", inner: inlines(found[1]!, depth) })],
  [
    /^\[([^\]]+)\]\(([^()\s]+)\)/,
    (found, depth) => {
      const href = safeHref(found[2]!);
      return href ? { kind: "link", href, inner: inlines(found[1]!, depth) } : null;
    },
  ],
  [/^https?:\/\/[^\s<>)\]]*[^\s<>)\].,;:!?'"]/, (found) => ({ kind: "link", href: found[0], inner: [{ kind: "text", text: found[0] }] })],
];

/** The pieces of a line. */
export function inlines(text: string, depth = 0): Inline[] {
  const out: Inline[] = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push({ kind: "text", text: plain });
    plain = "";
  };
  let at = 0;
  while (at < text.length) {
    const letter = text[at]!;
    if (letter === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    const inWord = /[\p{L}\p{N}]/u.test(text[at - 1] ?? "");
    // Only these letters begin anything; an underscore inside a word is a name.
    if (depth < DEPTH && (/[`*~[]/.test(letter) || ((letter === "_" || letter === "h") && !inWord))) {
      const rest = text.slice(at);
      let piece: Inline | null = null;
      let length = 0;
      for (const [pattern, make] of patterns) {
        const found = pattern.exec(rest);
        piece = found ? make(found, depth + 1) : null;
        if (piece && found) {
          length = found[0].length;
          break;
        }
      }
      if (piece) {
        flush();
        out.push(piece);
        at += length;
        continue;
      }
    }
    plain += letter;
    at++;
  }
  flush();
  return out;
}

const bullet = /^(\s{0,3})([-*+]|\d{1,9}[.)])\s+/;
const cells = (line: string) => line.replace(/^\s*\||\|\s*$/g, "").split(/(?<!\\)\|/).map((cell) => inlines(cell.trim()));

/** The blocks of a text. */
export function blocks(text: string, depth = 0): Block[] {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const out: Block[] = [];
  let at = 0;
  const take = (fits: (line: string) => boolean) => {
    const from = at;
    while (at < lines.length && fits(lines[at]!)) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at]!;
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    const fence = /^\s{0,3}(```+|~~~+)/.exec(line);
    if (line.trim() === "") at++;
    else if (fence) {
      at++;
      const body = take((one) => !one.trim().startsWith(fence[1]!));
      at++;
      out.push({ kind: "code", text: body.join("\n") });
    } else if (heading) {
      at++;
      out.push({ kind: "heading", level: heading[1]!.length, inner: inlines(heading[2]!) });
    } else if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
      at++;
      out.push({ kind: "rule" });
    } else if (line.startsWith(">") && depth < DEPTH) {
      out.push({ kind: "quote", blocks: blocks(take((one) => one.startsWith(">")).map((one) => one.replace(/^>\s?/, "")).join("\n"), depth + 1) });
    } else if (bullet.test(line) && depth < DEPTH) {
      out.push(listOf(take((one) => one.trim() !== "" && (bullet.test(one) || /^\s{2,}/.test(one))), depth));
    } else if (line.includes("|") && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(lines[at + 1] ?? "")) {
      at += 2;
      out.push({ kind: "table", head: cells(line), rows: take((one) => one.includes("|")).map(cells) });
    } else {
      // At least the line itself, whatever it begins with.
      at++;
      const more = take((one) => one.trim() !== "" && !/^(#{1,6}\s|>|\s{0,3}(```|~~~))/.test(one) && !bullet.test(one));
      out.push({ kind: "paragraph", inner: inlines([line, ...more].join("\n")) });
    }
  }
  return out;
}

function listOf(lines: string[], depth: number): Block {
  const items: string[][] = [];
  const indent = bullet.exec(lines[0]!)![1]!.length;
  for (const line of lines) {
    const found = bullet.exec(line);
    if (found && found[1]!.length <= indent + 1) items.push([line.slice(found[0].length)]);
    else items.at(-1)?.push(line.replace(/^\s{2,4}/, ""));
  }
  return { kind: "list", ordered: /^\s*\d/.test(lines[0]!), items: items.map((item) => blocks(item.join("\n"), depth + 1)) };
}
