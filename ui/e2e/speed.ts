/** How fast the app is in headless Chromium on a seeded server: `npm run speed`. Prints a table in Markdown. `LANZA_BIN` should be a
    release binary with the app in it; `LANZA_SPEED_RUNS`, `_KEYS`, `_STEPS`, `_LINES` make the load smaller. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { longLog, longRuns, manyRuns, type Seed, seeder, upsert } from "./seed";
import { source, world, type World } from "./world";

const size = (name: string, fallback: number) => Number(process.env[`LANZA_SPEED_${name}`] ?? fallback);
const RUNS = size("RUNS", 10_000);
const KEYS = size("KEYS", 1_000);
const STEPS = size("STEPS", 100_000);
const LINES = size("LINES", 1_000_000);
const ROUNDS = size("ROUNDS", 5);

let w: World;
let page: Page;
let seed: Seed;
const rows: [what: string, measured: string, budget: string][] = [];

const median = (all: number[]) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)]!;
const ms = (all: number[]) => `${Math.round(median(all))} ms (${all.map((one) => Math.round(one)).join(", ")})`;

/** Rounds of the time from an action to what it leads to. */
async function timed(rounds: number, before: () => Promise<unknown>, act: () => Promise<unknown>): Promise<number[]> {
  const found: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await before();
    const begin = performance.now();
    await act();
    found.push(performance.now() - begin);
  }
  return found;
}

beforeAll(async () => {
  w = await world();
  page = w.page;
  seed = seeder(w);
  await page.goto(`${w.url}/login`);
  await page.getByLabel("API key").fill(w.key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(`${w.url}/`);
  const step = async (what: string, work: Promise<void>) => {
    const begin = performance.now();
    await work;
    console.error(`seeded ${what} in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  };
  await step(`${RUNS} runs with ${KEYS} keys`, manyRuns(seed, "table", RUNS, KEYS));
  await step(`20 runs of ${STEPS} steps with 10 keys`, longRuns(seed, "charts", 20, 10, STEPS));
  await step(`a log of ${LINES} lines`, longLog(seed, "logs", "log", LINES));
});

afterAll(async () => {
  console.log("\n| what | measured | budget |\n|---|---|---|");
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
  await w?.close();
});

test("script of the first load", () => {
  const dist = resolve(import.meta.dirname, "../dist");
  const html = readFileSync(join(dist, "index.html"), "utf8");
  const first = [...html.matchAll(/assets\/[^"]+\.js/g)].map((found) => found[0]);
  const home = readdirSync(join(dist, "assets")).filter((name) => /^home-.*\.js$/.test(name)).map((name) => `assets/${name}`);
  const bytes = [...new Set([...first, ...home])].reduce((sum, name) => sum + readFileSync(join(dist, `${name}.gz`)).length, 0);
  rows.push(["script of the first load, gzip, home's own part included", `${(bytes / 1024).toFixed(0)} KiB`, "<= 300 KB"]);
  expect(bytes).toBeGreaterThan(0);
});

test("home", async () => {
  const found = await timed(
    ROUNDS,
    async () => page.goto("about:blank"),
    async () => {
      await page.goto(`${w.url}/`, { waitUntil: "commit" });
      await page.getByRole("table", { name: "Queues" }).getByRole("link").first().waitFor();
    },
  );
  rows.push(["home, from the address to its queues", ms(found), "<= 1 s"]);
});

test("the runs table", async () => {
  const first = page.getByRole("table", { name: "Runs" }).getByRole("link").first();
  // The server reads all documents once, for the keys that there are; the first rows do not wait for that.
  const [early] = await timed(
    1,
    async () => page.goto("about:blank"),
    async () => {
      await page.goto(`${w.url}/dev/table?view=table`, { waitUntil: "commit" });
      await first.waitFor();
    },
  );
  await page.getByRole("columnheader", { name: "val/accuracy" }).waitFor();
  const cold = await timed(
    ROUNDS,
    async () => page.goto("about:blank"),
    async () => {
      await page.goto(`${w.url}/dev/table?view=table`, { waitUntil: "commit" });
      await first.waitFor();
    },
  );
  rows.push([`runs table, ${RUNS.toLocaleString("en-US")} runs with ${KEYS.toLocaleString("en-US")} keys: from the address to the first page (and the first time of all)`, `${ms(cold)} (${Math.round(early!)} ms)`, "<= 500 ms"]);
  const sorted = await timed(
    ROUNDS,
    async () => {
      await page.goto(`${w.url}/dev/table?view=table`);
      await first.waitFor();
    },
    async () => {
      const answered = page.waitForResponse((response) => /\/runs\?.*order=/.test(response.url()) && response.url().includes(encodeURIComponent("summary_metrics")));
      await page.getByRole("columnheader", { name: "val/accuracy" }).getByRole("button").click();
      await answered;
      await page.waitForFunction(() => document.querySelector('[aria-label="Runs"]')?.closest('[aria-busy="true"]') === null);
    },
  );
  rows.push(["the same, sorted by a metric", ms(sorted), ""]);
  const scroll = await scrolled();
  rows.push([`scroll through ${scroll.rows.toLocaleString("en-US")} rows: frames with a blank row, of all; longest frame`, `${scroll.blank} of ${scroll.frames}; ${Math.round(scroll.longest)} ms`, "none"]);
});

/** Scrolls by three quarters of a screen a frame and looks for places without a row. */
async function scrolled() {
  return page.evaluate(async () => {
    const box = document.querySelector<HTMLElement>(".runs-box")!;
    let blank = 0;
    let frames = 0;
    let longest = 0;
    let last = performance.now();
    let top = 0;
    const frame = async () => new Promise<void>((done) => requestAnimationFrame(() => done()));
    while (frames < 600) {
      top = Math.min(top + box.clientHeight * 0.75, box.scrollHeight - box.clientHeight);
      box.scrollTop = top;
      await frame();
      await frame();
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      frames++;
      const area = box.getBoundingClientRect();
      for (let y = area.top + 40; y < area.bottom - 4; y += 32) {
        const there = document.elementFromPoint(area.left + 140, y)?.closest("tr");
        if (there && there.getAttribute("aria-hidden") !== "true") continue;
        blank++;
        break;
      }
      if (top >= box.scrollHeight - box.clientHeight && frames > 50) break;
    }
    return { blank, frames, longest, rows: Number(document.querySelector('[aria-label="Runs"]')?.getAttribute("aria-rowcount")) - 1 };
  });
}

test("charts", async () => {
  await page.setViewportSize({ width: 1600, height: 1800 });
  const drawn = await timed(
    ROUNDS,
    async () => page.goto("about:blank"),
    async () => {
      await page.goto(`${w.url}/dev/charts`, { waitUntil: "commit" });
      await page.waitForFunction(() => [...document.querySelectorAll("figure[aria-label^='train/metric']")].filter((figure) => figure.querySelector("canvas")).length >= 10, null, { polling: 50 });
      await page.waitForFunction(() => document.querySelectorAll("figure .skeleton").length === 0, null, { polling: 50 });
    },
  );
  rows.push([`20 runs × 10 charts of ${STEPS.toLocaleString("en-US")} steps, from the address to the last chart`, ms(drawn), "<= 1 s"]);
  await page.setViewportSize({ width: 1360, height: 860 });
});

test("a long log", async () => {
  const found = await timed(
    ROUNDS,
    async () => page.goto("about:blank"),
    async () => {
      await page.goto(`${w.url}/dev/logs/runs/log/log`, { waitUntil: "commit" });
      await page.getByRole("log", { name: "Log" }).getByText(`step ${LINES} of the log`).waitFor();
    },
  );
  rows.push([`a log of ${LINES.toLocaleString("en-US")} lines, from the address to its last line`, ms(found), "<= 500 ms"]);
});

test("a new item", async () => {
  const folder = source(w.folder, "print('hello')\n", "");
  await w.lanza("job", "create", "code", join(folder, "train.py"), "-p", "speed", "-n", "hello");
  await w.lanza("queue", "create", "unserved", "--target", "process");
  await page.goto(`${w.url}/launch/dev/unserved/items`);
  await page.getByText("Nothing was launched on this queue yet").waitFor();
  // The stream of events has begun.
  await page.getByRole("status").filter({ hasText: "Live" }).waitFor();
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const response = (await seed.post("/api/v1/entities/dev/queues/unserved/items", { job: "dev/speed/hello:latest", project: "speed" })) as { item: { id: string } };
    const begin = performance.now();
    await page.locator(`input[aria-label="Select ${response.item.id}"]`).waitFor();
    found.push(performance.now() - begin);
  }
  rows.push(["a new item, from the answer of the push to its row", ms(found), "<= 1 s"]);
});

/** Lines that a job writes a second, and for how many seconds. */
const RUSH = 5_000;
const SECONDS = 8;

test("a live log in a rush", async () => {
  await upsert(seed, { name: "rush", project: "logs", config: {} });
  const write = async (offset: number, lines: number) =>
    seed.post("/files/dev/logs/rush/file_stream", { files: { "output.log": { offset, content: Array.from({ length: lines }, (_, index) => `2026-11-20T10:00:00.000000 \u001b[32mstep ${offset + index + 1}\u001b[0m of the rush, loss 0.1234`) } } });
  await write(0, 100);
  await page.goto(`${w.url}/dev/logs/runs/rush/log`);
  await page.getByRole("log", { name: "Log" }).getByText("step 100 of the rush").waitFor();
  const watched = page.evaluate(
    async (seconds) =>
      new Promise<{ frames: number; longest: number; late: number }>((done) => {
        const begin = performance.now();
        let [last, frames, longest, late] = [begin, 0, 0, 0];
        const frame = (at: number) => {
          frames++;
          longest = Math.max(longest, at - last);
          if (at - last > 34) late++;
          last = at;
          if (at - begin < seconds * 1000) requestAnimationFrame(frame);
          else done({ frames, longest, late });
        };
        requestAnimationFrame(frame);
      }),
    SECONDS,
  );
  let written = 100;
  const begin = performance.now();
  while (performance.now() - begin < SECONDS * 1000) {
    const due = 100 + Math.floor(((performance.now() - begin) / 1000) * RUSH);
    if (due > written) await write(written, due - written);
    written = Math.max(written, due);
    await new Promise((next) => setTimeout(next, 50));
  }
  const { frames, longest, late } = await watched;
  await page.getByRole("log", { name: "Log" }).getByText(`step ${written} of the rush`).waitFor();
  const said = await page.getByText(/ skipped$/).first().textContent();
  rows.push([`a live log at ${RUSH.toLocaleString("en-US")} lines a second: frames a second; frames that came more than 34 ms after the last, the longest; what it says`, `${Math.round(frames / SECONDS)}; ${late}, ${Math.round(longest)} ms;${said?.replace(/^\s*·/, "")}`, "60"]);
});
