import { describe, expect, test } from "vitest";
import { lastDrawing, pieces, plainText } from "./ansi";

describe("terminal text", () => {
  test("colours become classes", () => {
    expect(pieces("\x1b[1;32mok\x1b[0m done")).toEqual([
      { text: "ok", classes: "ansi-fg-2 ansi-b" },
      { text: " done", classes: "" },
    ]);
    expect(pieces("\x1b[38;5;196mred")).toEqual([{ text: "red", classes: "ansi-fg-1" }]);
    expect(pieces("\x1b[38;2;10;200;20mgreen")).toEqual([{ text: "green", classes: "ansi-fg-2" }]);
    expect(pieces("\x1b[91;44mx\x1b[39my")).toEqual([
      { text: "x", classes: "ansi-fg-9 ansi-bg-4" },
      { text: "y", classes: "ansi-bg-4" },
    ]);
  });

  test("what is not a colour is left out, markup stays text", () => {
    expect(plainText("\x1b[2K\x1b]0;title\x07a\x1b[1Ab\x08c")).toBe("abc");
    expect(pieces("<script>alert(1)</script>")).toEqual([{ text: "<script>alert(1)</script>", classes: "" }]);
  });

  test("a progress bar shows its last drawing", () => {
    expect(lastDrawing("10%\r50%\r100%\r")).toBe("100%");
    expect(plainText("1\r\x1b[32m2\x1b[0m")).toBe("2");
  });
});
