// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { followLog, share } from "./streams";

/** What may be held, and who waits for it. */
const slots = vi.hoisted(() => ({ left: 1, waiting: new Set<() => void>() }));
vi.mock("./slots", () => ({
  FOR_ONE: [1, 2],
  holdSlot: (_: number[], taken: () => void) => {
    let has = false;
    const take = () => {
      if (slots.left === 0) return;
      slots.left--;
      has = true;
      slots.waiting.delete(take);
      taken();
    };
    slots.waiting.add(take);
    take();
    return () => {
      slots.waiting.delete(take);
      if (has) slots.left++;
      has = false;
      [...slots.waiting][0]?.();
    };
  },
}));

class Scripted extends EventTarget {
  static readonly CLOSED = 2;
  static all: Scripted[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string; lastEventId: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  constructor(readonly url: string) {
    super();
    Scripted.all.push(this);
  }
  static open() {
    return Scripted.all.filter((one) => one.readyState !== Scripted.CLOSED);
  }
  close() {
    this.readyState = Scripted.CLOSED;
  }
  opens() {
    this.readyState = 1;
    this.onopen?.();
  }
  says(data: object, id = "") {
    this.onmessage?.({ data: JSON.stringify(data), lastEventId: id });
  }
}

/** Channels of one browser, heard at once. */
class Channel {
  static all: Channel[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(readonly name: string) {
    Channel.all.push(this);
  }
  postMessage(data: unknown) {
    for (const other of Channel.all) if (other !== this && other.name === this.name) other.onmessage?.({ data });
  }
  close() {
    Channel.all = Channel.all.filter((other) => other !== this);
  }
}

const stops: (() => void)[] = [];
function window_() {
  const said: string[] = [];
  const stop = share("events", () => "/events", ["run"], { open: () => said.push("open"), message: (type, data) => said.push(`${type} ${data}`), down: () => said.push("down") });
  stops.push(stop);
  return { said, stop };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", Scripted);
  vi.stubGlobal("BroadcastChannel", Channel);
  Scripted.all = [];
  Channel.all = [];
  slots.left = 1;
  slots.waiting.clear();
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a window without a connection hears what another one's stream says", () => {
  const [first, second] = [window_(), window_()];
  expect(Scripted.all.length).toBe(1);
  Scripted.all[0]!.opens();
  Scripted.all[0]!.says({ n: 1 }, "1");
  Scripted.all[0]!.dispatchEvent(new MessageEvent("run", { data: "r1" }));
  const heard = ["open", 'message {"n":1}', "run r1"];
  expect([first.said, second.said]).toEqual([heard, heard]);
  // Nothing happens for a while: it is open still.
  vi.advanceTimersByTime(60_000);
  expect(second.said).toEqual(heard);
  // The first window is closed: the second has a stream of its own.
  first.stop();
  expect(Scripted.open().length).toBe(1);
  Scripted.all[1]!.opens();
  Scripted.all[1]!.says({ n: 2 }, "2");
  expect(second.said.slice(3)).toEqual(["open", 'message {"n":2}']);
  vi.advanceTimersByTime(60_000);
  expect(second.said.length).toBe(5);
});

test("a window that hears nobody, or nobody any more, is told that it is down", () => {
  slots.left = 0;
  const lonely = window_();
  vi.advanceTimersByTime(3_500);
  expect(lonely.said).toEqual(["down"]);
  // Somebody is there for a moment, and hangs.
  new Channel("lanza events").postMessage({ data: "", id: "" });
  expect(lonely.said).toEqual(["down", "open"]);
  vi.advanceTimersByTime(5_500);
  expect(lonely.said).toEqual(["down", "open", "down"]);
  expect(Scripted.all).toEqual([]);
});

test("a stream that was refused leaves its connection to others", () => {
  const first = window_();
  Scripted.all[0]!.close();
  Scripted.all[0]!.onerror?.();
  expect([first.said, slots.left]).toEqual([["down"], 1]);
  vi.advanceTimersByTime(10_500);
  expect([Scripted.open().length, slots.left]).toEqual([1, 0]);
});

const lines: number[] = [];
const ends: boolean[] = [];
const log = () => {
  lines.length = ends.length = 0;
  stops.push(followLog<{ line: number }>("/log?follow=true&from_line=5", (line) => lines.push(line.line), (ended) => ends.push(ended)));
};

test("a log without a connection is listened to now and then, from the last line on", () => {
  slots.left = 0;
  log();
  vi.advanceTimersByTime(300);
  expect(Scripted.all.map((one) => one.url)).toEqual(["/log?follow=true&from_line=5"]);
  Scripted.all[0]!.opens();
  Scripted.all[0]!.says({ line: 5 });
  Scripted.all[0]!.says({ line: 6 });
  vi.advanceTimersByTime(800);
  expect(Scripted.open()).toEqual([]);
  vi.advanceTimersByTime(1_500);
  expect(Scripted.open().map((one) => one.url)).toEqual(["/log?follow=true&from_line=6"]);
  // A connection is free: it stays open.
  slots.left = 1;
  [...slots.waiting][0]?.();
  expect(Scripted.open().length).toBe(1);
  Scripted.all.at(-1)!.opens();
  vi.advanceTimersByTime(30_000);
  expect(Scripted.open().map((one) => one.url)).toEqual(["/log?follow=true&from_line=6"]);
  Scripted.all.at(-1)!.says({ line: 7 });
  Scripted.all.at(-1)!.dispatchEvent(new Event("end"));
  expect([lines, ends, slots.left]).toEqual([[5, 6, 7], [true], 1]);
});

test("a hidden log lets go of its connection and goes on later", () => {
  let hidden = false;
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  log();
  Scripted.all[0]!.opens();
  Scripted.all[0]!.says({ line: 9 });
  hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  vi.advanceTimersByTime(10_000);
  expect([Scripted.open().length, slots.left]).toEqual([0, 1]);
  hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  expect(Scripted.open().map((one) => one.url)).toEqual(["/log?follow=true&from_line=9"]);
});
