import { expect, test } from "vitest";
import { blocks, inlines, safeHref } from "./markdown";

test("links lead to the web or to this server, never to a script", () => {
  expect(safeHref("https://example.org/a?b=1")).toBe("https://example.org/a?b=1");
  expect(safeHref("/team/digits")).toBe("/team/digits");
  for (const text of ["javascript:alert(1)", " JaVaScript:alert(1)", "data:text/html,x", "//elsewhere.org", "vbscript:x"]) expect(safeHref(text)).toBeNull();
  expect(inlines("[x](javascript:alert)")).toEqual([{ kind: "text", text: "[x](javascript:alert)" }]);
});

test("markup of pages stays text", () => {
  expect(blocks("<img src=x onerror=alert(1)>")).toEqual([{ kind: "paragraph", inner: [{ kind: "text", text: "<img src=x onerror=alert(1)>" }] }]);
});

test("words", () => {
  expect(inlines("a **b _c_** `d*e*` my_var_name \\*f\\*")).toEqual([
    { kind: "text", text: "a " },
    { kind: "strong", inner: [{ kind: "text", text: "b " }, { kind: "em", inner: [{ kind: "text", text: "c" }] }] },
    { kind: "text", text: " " },
    { kind: "code", text: "d*e*" },
    { kind: "text", text: " my_var_name *f*" },
  ]);
  expect(inlines("see https://example.org/a.").map((piece) => piece.kind)).toEqual(["text", "link", "text"]);
});

test("blocks", () => {
  const kinds = (text: string) => blocks(text).map((block) => block.kind);
  expect(kinds("# T\ntext\nmore\n\n- a\n- b\n  - c\n\n```py\n# no heading\n```\n> q\n\n---\n")).toEqual(["heading", "paragraph", "list", "code", "quote", "rule"]);
  expect(blocks("1. a\n2. b")).toMatchObject([{ kind: "list", ordered: true, items: [[{ kind: "paragraph" }], [{ kind: "paragraph" }]] }]);
  expect(blocks("|a|b|\n|-|-|\n|1|2|")).toMatchObject([{ kind: "table", rows: [[[{ text: "1" }], [{ text: "2" }]]] }]);
  expect(blocks("```\nnever closed")).toEqual([{ kind: "code", text: "never closed" }]);
});

test("hostile texts end", () => {
  const begin = performance.now();
  blocks("> ".repeat(2_000));
  blocks("*".repeat(5_000));
  blocks("[".repeat(5_000));
  blocks(`${"- ".repeat(300)}x`);
  expect(performance.now() - begin).toBeLessThan(3_000);
});
