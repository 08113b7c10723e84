// @vitest-environment jsdom
/** A queue with thousands of items: what runs and what is next is seen first, and many are stopped or retried at once. */
import { listOf, Refused, server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Item, Queue } from "../../api/types";
import { Notices } from "../../components/notice";
import { drawAt } from "../../testing/at";
import { itemPart, together } from "./queue-data";
import { placeText, QueueItems } from "./queue-items";

const time = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString();
const item = (id: string, state: string, more: object = {}) => ({ id, name: id, entity: "dev", queue: "gpu", project: "p", job: "dev/p/train:v1", state, unreachable: false, author: "ana", attempt: 1, priority: "medium", created_at: time(0), ...more });
const place = (n: number) => String(n).padStart(4, "0");
const waiting = Array.from({ length: 2_000 }, (_, index) => item(`w-${place(index + 1)}`, "queued", { why: { position: index + 1, ahead: index, rule: "ahead", message: `${index} items are ahead of it in the queue \`gpu\`` } }));
const running = [item("r-1", "running", { started_at: time(1) }), item("r-2", "leased")];
const ended = Array.from({ length: 300 }, (_, index) => item(`e-${place(index)}`, "finished", { ended_at: time(2) }));
const queue = { entity: "dev", name: "gpu", agents: [], policy: {} } as unknown as Queue;

/** What was asked of a list, newest last. */
let asked: string[] = [];

beforeEach(() => {
  server.on("GET /me", { username: "ana", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] });
  server.on("GET /items", (request: unknown, query: URLSearchParams) => {
    asked.push(`${query.get("state")} ${query.get("order") ?? "newest"}`);
    const states = (query.get("state") ?? "").split(",");
    const list = query.get("order") === "place" ? waiting : [...running, ...ended].filter((one) => states.includes(one.state));
    return listOf(list.filter((one) => (query.get("author") ?? one.author) === one.author))(request, query);
  });
});

afterEach(() => {
  cleanup();
  server.clear();
  asked = [];
});

const open = (address = "/launch/dev/gpu/items") => drawAt(address, { "/launch/:entity/:queue/:tab": <><QueueItems queue={queue} /><Notices /></> });
const rows = () => [...document.querySelectorAll("table[aria-label=Items] tbody tr")];
// Roles of hundreds of rows take seconds to find.
const ids = () => [...document.querySelectorAll("table[aria-label=Items] tbody input")].map((box) => box.getAttribute("aria-label")!.replace("Select ", ""));

// Hundreds of rows take seconds to draw where the machine is busy.
vi.setConfig({ testTimeout: 30_000 });

test("of 2,000 items that wait one sees what runs, who is next, and what ended; each goes on by itself", async () => {
  open();
  await expect.poll(() => ids().length).toBe(202);
  expect(ids().slice(0, 4)).toEqual(["r-1", "r-2", "w-0001", "w-0002"]);
  expect(rows()[2]!.textContent).toContain("#1");
  expect(ids().slice(101, 103)).toEqual(["w-0100", "e-0000"]);
  fireEvent.click(screen.getByRole("button", { name: "Show more waiting" }));
  await expect.poll(() => ids().slice(201, 203)).toEqual(["w-0200", "e-0000"]);
  fireEvent.click(screen.getByRole("button", { name: "Show more ended" }));
  await expect.poll(() => ids().length).toBe(402);
  expect(screen.queryByRole("button", { name: "Show more running" })).toBeNull();
});

test("a filter asks for nothing that it leaves out, and a place is shown where something may wait", async () => {
  open("/launch/dev/gpu/items?state=leased,running");
  await expect.poll(ids).toEqual(["r-1", "r-2"]);
  expect(asked).toEqual(["leased,running newest"]);
  expect(screen.queryByRole("columnheader", { name: "Place" })).toBeNull();
  cleanup();
  open("/launch/dev/gpu/items?author=nobody");
  expect(await screen.findByText("No item fits the filters.")).toBeTruthy();
  expect(screen.getByRole("columnheader", { name: "Place" })).toBeTruthy();
});

test("parts: an item in two of them is where it is further, places keep their order", () => {
  const list = (...some: object[]) => some as Item[];
  const all = together({ running: list(item("b", "running")), waiting: list(item("a", "queued"), item("b", "queued"), item("c", "queued")), ended: list(item("d", "failed")) });
  expect(all.map((one) => `${one.id} ${one.state}`)).toEqual(["b running", "a queued", "c queued", "d failed"]);
  expect(itemPart("waiting", "dev", "gpu", new URLSearchParams("state=failed")).asked).toBe(false);
  expect(itemPart("ended", "dev", "gpu", new URLSearchParams("state=failed&job=dev/p/j")).filter).toEqual({ entity: "dev", queue: "gpu", state: "failed", job: "dev/p/j" });
  const why = { rule: "ahead", message: "" };
  expect([placeText({ ...why, position: 1_200, ahead: 1_199 }), placeText({ ...why, position: null, ahead: 1_000 })]).toEqual(["#1,200", "> 1,000"]);
});

/** Answers each stop after a moment; refuses every `n`th. */
function stops(n: number) {
  const seen = { most: 0, now: 0 };
  for (const one of [...waiting, ...running])
    server.on(`POST /items/${one.id}/stop`, (() => {
      if (waiting.indexOf(one as never) % n === n - 1) return new Refused(409, "conflict", "the item is finished already");
      return { item: { ...one, state: one.state === "queued" ? "stopped" : one.state } };
    }) as never);
  const ask = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    if (!(input instanceof Request) || input.method !== "POST") return ask(input, init);
    seen.now++;
    seen.most = Math.max(seen.most, seen.now);
    await Promise.resolve();
    try {
      return await ask(input, init);
    } finally {
      seen.now--;
    }
  };
  return { seen, restore: () => (globalThis.fetch = ask) };
}

test("many are stopped a few at a time; what was refused is counted and named, what only waited can be put back", async () => {
  const { seen, restore } = stops(10);
  open();
  await expect.poll(() => ids().length).toBe(202);
  fireEvent.click(screen.getByRole("checkbox", { name: "Select all rows" }));
  fireEvent.click(screen.getByRole("button", { name: "Stop 102 items" }));
  fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Stop 102 items" }));
  expect((await screen.findByText(/^Stopping \d+ of 102 items…$/)).getAttribute("role")).toBe("status");
  expect((await screen.findByRole("alert")).textContent).toContain("92 of 102 items stopped. The others were not: the item is finished already.");
  expect(server.sent.filter((one) => one.path.endsWith("/stop"))).toHaveLength(102);
  expect(seen.most).toBe(4);
  for (const one of waiting) server.on(`POST /items/${one.id}/retry`, { item: one });
  server.sent = [];
  fireEvent.click(within(screen.getByRole("status", { name: "Notices" })).getByRole("button", { name: "Undo" }));
  await expect.poll(() => server.sent.filter((one) => one.path.endsWith("/retry")).length).toBe(90);
  restore();
});
