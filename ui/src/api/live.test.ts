// @vitest-environment jsdom
import { QueryClient } from "@tanstack/react-query";
import { renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { follow, followRuns, pollEvery, useLiveness } from "./live";

// There is always a connection left here.
vi.mock("./slots", () => ({
  FOR_ALL: [0],
  FOR_ONE: [1, 2],
  holdSlot: (_: number[], taken: () => void) => {
    taken();
    return () => undefined;
  },
}));

/** An event source whose fate the test writes. */
class Scripted extends EventTarget {
  static readonly CLOSED = 2;
  static all: Scripted[] = [];
  static get last() {
    return Scripted.all.at(-1)!;
  }
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string; lastEventId: string }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor(readonly url: string) {
    super();
    Scripted.all.push(this);
  }
  close() {
    this.readyState = Scripted.CLOSED;
  }
  opens() {
    this.readyState = 1;
    this.onopen?.();
  }
  /** The connection breaks: the browser tries again by itself. */
  breaks() {
    this.readyState = 0;
    this.onerror?.();
  }
  /** The server says no: the browser gives up. */
  refused() {
    this.readyState = Scripted.CLOSED;
    this.onerror?.();
  }
  says(id: string, event: object) {
    this.onmessage?.({ data: JSON.stringify(event), lastEventId: id });
  }
}

let hidden = false;
const hide = (now: boolean) => {
  hidden = now;
  document.dispatchEvent(new Event("visibilitychange"));
};

let stop: () => void = () => undefined;
let stale: string[] = [];
let queries: QueryClient;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", Scripted);
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  Scripted.all = [];
  stale = [];
  queries = new QueryClient();
  vi.spyOn(queries, "invalidateQueries").mockImplementation(async (filter) => {
    stale.push((filter?.queryKey ?? []).join(" "));
    return Promise.resolve();
  });
});
afterEach(() => {
  stop();
  hidden = false;
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a burst of events is one refresh of what they touch", () => {
  stop = follow(queries);
  Scripted.last.opens();
  Scripted.last.says("7", { kind: "job" });
  Scripted.last.says("8", { kind: "artifact" });
  expect(stale).toEqual([]);
  vi.advanceTimersByTime(200);
  expect(stale).toEqual(["jobs", "job", "runs", "artifacts"]);
});

test("lists are polled while the stream is down, and no more once it is back", () => {
  const shown = renderHook(() => useLiveness());
  const now = () => {
    shown.rerender();
    return [shown.result.current, pollEvery()];
  };
  stop = follow(queries);
  Scripted.last.opens();
  expect(now()).toEqual(["live", 5_000]);
  Scripted.last.says("41", { kind: "queue" });
  // The browser tries again by itself: nothing is opened beside it.
  Scripted.last.breaks();
  expect(now()).toEqual(["polling", 2_000]);
  vi.advanceTimersByTime(60_000);
  expect(Scripted.all.length).toBe(1);
  Scripted.last.opens();
  expect(now()).toEqual(["live", 5_000]);
  // Refused, it is opened anew, from the last event on.
  Scripted.last.refused();
  expect(now()).toEqual(["polling", 2_000]);
  vi.advanceTimersByTime(9_000);
  expect(Scripted.all.length).toBe(1);
  vi.advanceTimersByTime(1_500);
  expect(Scripted.all.length).toBe(2);
  expect(Scripted.last.url).toBe("/api/v1/events?after=41");
  Scripted.last.refused();
  vi.advanceTimersByTime(10_500);
  expect(Scripted.all.length).toBe(3);
  Scripted.last.opens();
  expect(now()).toEqual(["live", 5_000]);
});

test("a hidden page rests, and goes on where it was", () => {
  const shown = renderHook(() => useLiveness());
  const now = () => {
    shown.rerender();
    return shown.result.current;
  };
  stop = follow(queries);
  Scripted.last.opens();
  Scripted.last.says("5", { kind: "item" });
  hide(true);
  expect([now(), Scripted.last.readyState]).toEqual(["paused", Scripted.CLOSED]);
  vi.advanceTimersByTime(60_000);
  expect(Scripted.all.length).toBe(1);
  hide(false);
  expect(Scripted.last.url).toBe("/api/v1/events?after=5");
  Scripted.last.opens();
  expect(now()).toBe("live");
  // One that was refused and then hidden is not opened behind one's back.
  Scripted.last.refused();
  hide(true);
  vi.advanceTimersByTime(60_000);
  expect([Scripted.all.length, now()]).toEqual([2, "paused"]);
});

test("the stream of a project's runs is opened again when it was refused, and polled until then", () => {
  stop = followRuns(queries, "dev", "a b");
  expect(Scripted.last.url).toBe("/api/v1/entities/dev/projects/a%20b/changes");
  Scripted.last.opens();
  expect(stale).toEqual([]);
  Scripted.last.dispatchEvent(new MessageEvent("run", { data: '{"id": "r1"}' }));
  expect(stale.splice(0)).toEqual(["runs dev a b", "run dev a b r1", "series dev a b r1"]);
  Scripted.last.refused();
  vi.advanceTimersByTime(5_500);
  expect(stale.splice(0)).toEqual(["runs dev a b", "run dev a b", "series dev a b"]);
  vi.advanceTimersByTime(5_000);
  expect(Scripted.all.length).toBe(2);
  stale = [];
  Scripted.last.opens();
  expect(stale.splice(0)).toEqual(["runs dev a b", "run dev a b", "series dev a b"]);
  // It is not polled any more.
  vi.advanceTimersByTime(60_000);
  expect([stale, Scripted.all.length]).toEqual([[], 2]);
});

test("the stream of one run rests while the page is hidden and reads what it missed", () => {
  stop = followRuns(queries, "dev", "p", "r1");
  Scripted.last.opens();
  Scripted.last.refused();
  hide(true);
  vi.advanceTimersByTime(60_000);
  expect([stale, Scripted.all.length]).toEqual([[], 1]);
  hide(false);
  expect(stale).toEqual(["run dev p", "series dev p"]);
  expect(Scripted.last.url).toBe("/api/v1/entities/dev/projects/p/changes?run=r1");
  stop();
  expect(Scripted.last.readyState).toBe(Scripted.CLOSED);
});
