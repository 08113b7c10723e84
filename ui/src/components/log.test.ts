// @vitest-environment jsdom
import { expect, test } from "vitest";
import { LogBuffer } from "./log";

test("a line that is drawn again replaces the first, and old lines are counted", () => {
  const log = new LogBuffer();
  log.add({ number: 1, text: "10%" });
  log.add({ number: 2, text: "b" });
  log.add({ number: 1, text: "100%" });
  expect(log.lines.map((line) => line.text)).toEqual(["100%", "b"]);
  for (let number = 3; number <= 215_000; number++) log.add({ number, text: "x" });
  expect(log.lines.length + log.dropped).toBe(215_000);
  expect(log.lines.length).toBeLessThanOrEqual(210_000);
  expect(log.lines.at(-1)?.number).toBe(215_000);
});
