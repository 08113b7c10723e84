// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FOR_ALL, FOR_ONE, holdSlot, LEASE } from "./slots";

const ANY = [...FOR_ALL, ...FOR_ONE];
const SLOTS = ANY.length;
const frees: (() => void)[] = [];
/** Asks for slots as windows do; returns how many got one, lost ones counted off. */
function ask(count: number, slots = ANY) {
  let held = 0;
  for (let i = 0; i < count; i++) {
    frees.push(
      holdSlot(
        slots,
        () => held++,
        () => held--,
      ),
    );
  }
  return () => held;
}

/** Locks as a browser has them, as far as they are used. */
class Locks {
  readonly held = new Set<string>();
  request = async (name: string, _: object, run: (lock: object | null) => Promise<void>) => {
    if (this.held.has(name)) return run(null);
    this.held.add(name);
    await run({});
    this.held.delete(name);
  };
}
const withLocks = () => Object.defineProperty(navigator, "locks", { value: new Locks(), configurable: true });

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
});
afterEach(() => {
  for (const free of frees.splice(0)) free();
  Reflect.deleteProperty(navigator, "locks");
  vi.restoreAllMocks();
  vi.useRealTimers();
});

for (const [how, prepare] of [
  ["locks", withLocks],
  ["leases", () => undefined],
] as const) {
  test(`no more slots are given than there are, and one that is free is given again, by ${how}`, async () => {
    prepare();
    const held = ask(SLOTS + 2);
    await vi.advanceTimersByTimeAsync(500);
    expect(held()).toBe(SLOTS);
    await vi.advanceTimersByTimeAsync(LEASE * 3);
    expect(held()).toBe(SLOTS);
    frees[0]!();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(held()).toBe(SLOTS + 1);
    // Who does not want it any more is given none.
    frees[SLOTS]!();
    frees[SLOTS + 1]!();
    await vi.advanceTimersByTimeAsync(5_000);
    const later = ask(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(later()).toBe(1);
  });
}

test("the lease of a window that died runs out", async () => {
  for (let slot = 0; slot < SLOTS; slot++) localStorage.setItem(`lanza-stream-${slot}`, JSON.stringify({ who: "dead", at: Date.now() }));
  const held = ask(1);
  await vi.advanceTimersByTimeAsync(LEASE - 2_000);
  expect(held()).toBe(0);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(held()).toBe(1);
});

test("a window that lost its lease while it hung says so, and another's is left alone", async () => {
  const held = ask(1);
  await vi.advanceTimersByTimeAsync(500);
  localStorage.setItem("lanza-stream-0", JSON.stringify({ who: "another", at: Date.now() }));
  await vi.advanceTimersByTimeAsync(3_000);
  expect(held()).toBe(0);
  frees[0]!();
  expect(localStorage.getItem("lanza-stream-0")).toContain("another");
});

test("two windows that write at once do not both get the slot", async () => {
  const held = ask(1);
  localStorage.setItem("lanza-stream-0", JSON.stringify({ who: "another", at: Date.now() }));
  for (let slot = 1; slot < SLOTS; slot++) localStorage.setItem(`lanza-stream-${slot}`, JSON.stringify({ who: "others", at: Date.now() }));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(held()).toBe(0);
});

test("a window closes its leases with itself, and one without storage gets none", async () => {
  const held = ask(1);
  await vi.advanceTimersByTimeAsync(500);
  expect(held()).toBe(1);
  dispatchEvent(new Event("pagehide"));
  expect(localStorage.getItem("lanza-stream-0")).toBeNull();
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new Error("full");
  });
  const none = ask(1);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(none()).toBe(0);
});

test("what one window needs never takes the place of the stream that all hear", async () => {
  const own = ask(5, FOR_ONE);
  await vi.advanceTimersByTimeAsync(5_000);
  const all = ask(2, FOR_ALL);
  await vi.advanceTimersByTimeAsync(5_000);
  expect([own(), all()]).toEqual([2, 1]);
});
