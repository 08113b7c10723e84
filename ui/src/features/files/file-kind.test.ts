import { expect, test } from "vitest";
import { isText, kindOf, textOf } from "./file-kind";
import { linesOf } from "./source-text";

test("files are what their names say, and text where they say nothing", () => {
  expect(["train.py", "Dockerfile", "a/b.YAML", ".gitignore", "page.html"].map(kindOf)).toEqual(["text", "text", "text", "text", "text"]);
  expect(["plot.PNG", "a.b/logo.svg"].map(kindOf)).toEqual(["image", "image"]);
  expect(["model.pt", "data.tar.gz"].map(kindOf)).toEqual(["other", "other"]);
  expect([isText("a\nb"), isText("PK\u0003\0")]).toEqual([true, false]);
});

test("the end of the last line begins none", () => {
  expect(linesOf("a\nb\n")).toEqual(["a", "b"]);
  expect(linesOf("a\n\nb")).toEqual(["a", "", "b"]);
  expect(linesOf("")).toEqual([]);
});

test("text is told from binary by its first bytes", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect(textOf(bytes("naïve ✓\n"))).toBe("naïve ✓\n");
  expect(textOf(bytes(""))).toBe("");
  expect(textOf(bytes("PK\0\u0003"))).toBeNull();
  expect(textOf(new Uint8Array([0x80, 0x02, 0x7d, 0x71]))).toBeNull();
  expect(textOf(new Uint8Array([0x61, 0xc3]))).toBeNull();
  // A letter across the border of what is looked at, and one bad byte far behind it.
  expect(textOf(bytes(`${"x".repeat(8191)}é`))).toBe(`${"x".repeat(8191)}é`);
  expect(textOf(new Uint8Array([...bytes("x".repeat(9000)), 0xff]))).toBe(`${"x".repeat(9000)}\ufffd`);
});
