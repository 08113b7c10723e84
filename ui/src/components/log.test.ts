// @vitest-environment jsdom
import { expect, test, vi } from "vitest";
import { BLOCK, type LogDoor, LogSource, RUSH_PAUSE } from "./log-source";

/** A log of so many lines `line N`, and what was asked for. */
function door(lines: number) {
  const asked: object[] = [];
  let send: ((line: { line: number; text: string }) => void) | null = null;
  const text = (from: number, n: number) => Array.from({ length: Math.max(0, Math.min(n, lines - from + 1)) }, (_, i) => `line ${from + i}\n`).join("");
  const it: LogDoor = {
    read: async (_path, part) => {
      asked.push(part);
      const first = part.tail ? Math.max(1, lines - part.tail + 1) : (part.from_line ?? 1);
      return Promise.resolve({ text: text(first, part.tail ?? part.lines ?? lines), first, lines });
    },
    follow: (path, onLine) => {
      asked.push({ path });
      send = onLine;
      return () => undefined;
    },
  };
  return { it, asked, send: (line: number, words: string) => send?.({ line, text: words }) };
}

test("a million lines are opened at their end, and read where one looks", async () => {
  const { it, asked } = door(1_000_000);
  const log = new LogSource("/log", it);
  log.open();
  await vi.waitFor(() => expect(log.opened).toBe(true));
  expect(log.total).toBe(1_000_000);
  expect(log.line(1_000_000)?.text).toBe("line 1000000");
  expect(log.line(5)).toBeUndefined();
  expect(asked).toEqual([{ tail: 1000 }, { path: "/log?follow=true&from_line=1000001" }]);
  log.need(1, 10);
  log.need(1, 10);
  await vi.waitFor(() => expect(log.line(5)?.text).toBe("line 5"));
  // What is there or on its way is not asked for again.
  log.need(1, 10);
  expect(asked.slice(2)).toEqual([{ from_line: 1, lines: BLOCK }]);
});

test("lines come live, and one that is drawn again replaces the first", async () => {
  const { it, send } = door(2);
  const log = new LogSource("/log?phase=run", it);
  log.open();
  await vi.waitFor(() => expect(log.opened).toBe(true));
  send(3, "10%");
  send(4, "b");
  send(3, "100%");
  expect(log.total).toBe(4);
  expect([1, 2, 3, 4].map((n) => log.line(n)?.text)).toEqual(["line 1", "line 2", "100%", "b"]);
});

test("memory stays flat: what is far away is dropped and read again", async () => {
  const { it, send } = door(0);
  const log = new LogSource("/log", it);
  log.open();
  await vi.waitFor(() => expect(log.opened).toBe(true));
  for (let number = 1; number <= 300_000; number++) send(number, "x");
  expect(log.total).toBe(300_000);
  expect(log.line(300_000)?.text).toBe("x");
  expect(log.line(1)).toBeUndefined();
});

test("a rush of lines drops to the newest, counts what was skipped, and draws ten times a second", async () => {
  const { it, send } = door(1_000);
  const log = new LogSource("/log", it);
  log.open();
  await vi.waitFor(() => expect(log.opened).toBe(true));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame", "performance"] });
  try {
    let drawings = 0;
    // A view of 40 lines that follows.
    log.watch(() => {
      drawings++;
      log.seen(40, true);
    });
    vi.advanceTimersByTime(1_000);
    drawings = 0;
    // Two seconds of 5,000 lines each.
    for (let number = 1_001; number <= 11_000; number++) {
      send(number, "x");
      if (number % 5 === 0) vi.advanceTimersByTime(1);
    }
    vi.advanceTimersByTime(RUSH_PAUSE);
    expect(drawings).toBeGreaterThan(15);
    expect(drawings).toBeLessThan(30);
    expect(log.total).toBe(11_000);
    // What was drawn are the last 40 of each time.
    expect(log.skipped).toBeGreaterThan(10_000 - 40 * (drawings + 1));
    expect(log.skipped).toBeLessThanOrEqual(10_000 - 40 * (drawings - 1));
    // Nothing is lost: one can scroll up to all of it.
    expect(log.line(5_000)?.text).toBe("x");

    // Calm again: each frame draws, nothing is skipped.
    const before = log.skipped;
    for (let second = 1; second <= 5; second++) {
      vi.advanceTimersByTime(1_000);
      send(11_000 + second, "y");
    }
    vi.advanceTimersByTime(1_000);
    expect(log.skipped).toBe(before);
  } finally {
    vi.useRealTimers();
  }
});

test("who reads further up skips nothing", async () => {
  const { it, send } = door(10);
  const log = new LogSource("/log", it);
  log.open();
  await vi.waitFor(() => expect(log.opened).toBe(true));
  for (let number = 11; number <= 5_000; number++) send(number, "x");
  log.seen(40, false);
  send(5_001, "y");
  log.seen(40, true);
  expect(log.skipped).toBe(0);
});
