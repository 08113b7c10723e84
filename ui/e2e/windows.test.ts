/** Several windows of one browser, all of them seen: streams must not take the connections that requests need. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { seeder, upsert } from "./seed";
import { PATIENCE, signIn, world, type World } from "./world";

const RUNS = ["w1", "w2", "w3", "w4"];

let w: World;
let windows: Page[] = [];
/** Lines that each run wrote so far. */
let written = 0;

const write = async () => {
  written++;
  const seed = seeder(w);
  for (const run of RUNS) {
    const content = [`2026-11-20T10:00:00.000000 line ${written} of ${run}`];
    await seed.post(`/files/dev/watched/${run}/file_stream`, { files: { "output.log": { offset: written - 1, content } } });
  }
};

/** How long a request takes in a window, in milliseconds. */
const answer = async (page: Page) =>
  page.evaluate(async () => {
    const at = performance.now();
    const response = await fetch("/api/v1/me", { signal: AbortSignal.timeout(8_000) }).catch((error: unknown) => error as Error);
    return response instanceof Response && response.ok ? performance.now() - at : Infinity;
  });

const everyone = async () => {
  for (const [index, page] of windows.entries()) {
    if (page.isClosed()) continue;
    await page.getByRole("log", { name: "Log" }).getByText(`line ${written} of ${RUNS[index]!}`).waitFor({ timeout: PATIENCE });
    expect(await answer(page), `window ${index + 1}`).toBeLessThan(5_000);
  }
};

/** All windows hear the stream of one of them. */
const live = async () => {
  for (const page of windows) {
    if (!page.isClosed()) await page.getByRole("status").filter({ hasText: /^Live/ }).waitFor({ timeout: 15_000 });
  }
};

beforeAll(async () => {
  w = await world();
  const seed = seeder(w);
  for (const run of RUNS) await upsert(seed, { name: run, project: "watched", config: {} });
  await write();
  await signIn(w);
  // No further window.
  await w.page.goto("about:blank");
}, 600_000);
afterAll(async () => w?.close());

for (const how of ["locks", "leases"]) {
  test(`four windows on logs of running runs answer and go on, by ${how}`, async () => {
    // Plain http from another machine has no locks.
    if (how === "leases") await w.context.addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
    windows = [];
    for (const run of RUNS) {
      const page = await w.context.newPage();
      page.setDefaultTimeout(PATIENCE);
      windows.push(page);
      await page.goto(`${w.url}/dev/watched/runs/${run}/log`);
      expect(await page.evaluate(() => [document.hidden, !!navigator.locks])).toEqual([false, how === "locks"]);
    }
    await everyone();
    await live();
    await write();
    await everyone();
    // The first window holds what there is to hold. It is closed: another takes over, and everything goes on.
    await windows[0]!.close();
    await write();
    await everyone();
    await live();
    await windows[1]!.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Agents" }).click();
    await windows[1]!.getByRole("heading", { level: 1, name: "Agents" }).waitFor({ timeout: 10_000 });
    for (const page of windows) await page.close();
  });
}
