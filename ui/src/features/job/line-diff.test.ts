import { expect, test } from "vitest";
import { firstLines, lineDiff } from "./line-diff";

const lines = (text: string) => text.split("");
const shown = (before: string, after: string) => lineDiff(lines(before), lines(after)).hunks.map((hunk) => `${hunk.before},${hunk.after} ${hunk.lines.map((line) => line.sign + line.text).join("")}`);

test("what differs stands among three equal lines", () => {
  expect(shown("abcdefghij", "abcdeXghij")).toEqual(["3,3  c d e-f+X g h i"]);
  expect(shown("abc", "abcd")).toEqual(["1,1  a b c+d"]);
  expect(shown("", "ab")).toEqual(["1,1 +a+b"]);
  expect(shown("ab", "")).toEqual(["1,1 -a-b"]);
  expect(shown("same", "same")).toEqual([]);
});

test("changes far from each other are hunks of their own, with their line in either text", () => {
  expect(shown("abcdefghijklmnop", "aXbcdefghijklmnoY")).toEqual(["1,1  a+X b c d", "13,14  m n o-p+Y"]);
  // Six equal lines between two changes are less than a cut would save.
  expect(shown("1abcdef2", "3abcdef4")).toHaveLength(1);
  expect(shown("1abcdefg2", "3abcdefg4")).toHaveLength(2);
});

test("the shortest way is found, and it makes the one text of the other", () => {
  const [before, after] = ["abcabbaxyz", "cbabacxz"];
  const diff = lineDiff(lines(before), lines(after));
  expect(diff.added + diff.removed).toBe(6);
  // With everything around the changes the hunks have both texts whole.
  const all = diff.hunks.flatMap((hunk) => hunk.lines);
  expect(all.filter((line) => line.sign !== "+").map((line) => line.text).join("")).toBe(before);
  expect(all.filter((line) => line.sign !== "-").map((line) => line.text).join("")).toBe(after);
});

test("texts that share nothing replace each other, however long they are", () => {
  const many = (word: string) => Array.from({ length: 5_000 }, (_, index) => `${word} ${index}`);
  const diff = lineDiff(many("old"), many("new"));
  expect([diff.added, diff.removed]).toEqual([5_000, 5_000]);
  expect(firstLines(diff.hunks, 100).flatMap((hunk) => hunk.lines)).toHaveLength(100);
});
