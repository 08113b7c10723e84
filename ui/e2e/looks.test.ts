/** What is long, missing or empty: nothing is pushed out of the window, and nothing touches its edge. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { finish, type Seed, seeder, upsert } from "./seed";
import { axe, shot, signIn, visible, world, type World } from "./world";

const LONG = "n".repeat(120);

let w: World;
let page: Page;
let seed: Seed;

beforeAll(async () => {
  w = await world();
  page = w.page;
  seed = seeder(w);
  await upsert(seed, { name: "long", project: "looks", title: LONG, config: { lr: 0.1 }, summary: { loss: 0.5 } });
  await finish(seed, "looks", "long");
  await signIn(w);
}, 300_000);

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last-looks").catch(() => undefined);
  await w?.close();
});

/** The parts of a page's head, and cells of tables, that show something beyond their own edge; and the former beyond the
    window's. A table scrolls in its box. */
const spilled = async () =>
  page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>(".page-head > *, #page td")]
      .filter((part) => (part.tagName !== "TD" && part.getBoundingClientRect().right > innerWidth + 1) || (part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX === "visible"))
      .map((part) => `${part.tagName} ${part.textContent}`),
  );

test("a long name leaves room for what stands beside it", async () => {
  for (const width of [1360, 1100, 390]) {
    await page.setViewportSize({ width, height: 860 });
    await page.goto(`${w.url}/dev/looks/runs/long/overview`);
    await visible(page.locator(".page-head").getByText("finished"));
    expect.soft(await spilled(), `the run at ${width}`).toEqual([]);
    await page.goto(w.url);
    const row = page.getByRole("table", { name: "My recent runs" }).getByRole("row").nth(1);
    await visible(row);
    expect.soft(await spilled(), `home at ${width}`).toEqual([]);
    // Something is left of the name itself.
    expect.soft((await row.getByRole("cell").nth(1).boundingBox())!.width, `the name at ${width}`).toBeGreaterThan(80);
  }
  await page.setViewportSize({ width: 1360, height: 860 });
});

test("what does not exist says so within the margins of the page", async () => {
  for (const path of ["/dev/looks/runs/nope", "/dev/looks/jobs/nope", "/launch/dev/nope/items", "/dev/nope"]) {
    await page.goto(`${w.url}${path}`);
    const alert = page.getByRole("main").getByRole("alert");
    await visible(alert);
    const [inner, outer] = [(await alert.boundingBox())!, (await page.getByRole("main").boundingBox())!];
    expect.soft([inner.x - outer.x, outer.x + outer.width - inner.x - inner.width], path).toEqual([16, 16]);
    expect.soft(await page.getByRole("main").getByRole("button", { name: "Launch" }).count(), path).toBe(0);
  }
});

test("a list without rows is the table of its name", async () => {
  await page.goto(`${w.url}/dev/looks/jobs`);
  await visible(page.getByRole("table", { name: "Jobs" }).getByText("No job yet.", { exact: false }));
  expect.soft(await axe(page)).toEqual([]);
  for (const [tab, name, text] of [["artifacts", "Artifacts", "Nothing was logged with"], ["sweeps", "Sweeps", "No run belongs to a sweep."]] as const) {
    await page.goto(`${w.url}/dev/looks/${tab}`);
    await visible(page.getByRole("table", { name }).getByText(text, { exact: false }));
  }
  await page.goto(`${w.url}/launch/dev/default/items`);
  await visible(page.getByRole("table", { name: "Items" }).getByText("Nothing was launched on this queue yet."));
});

test("the commands find a run by its name from a page that does not show it", async () => {
  await page.goto(`${w.url}/usage`);
  await visible(page.getByRole("heading", { name: "Usage" }));
  await page.keyboard.press("Control+k");
  await page.keyboard.type("nnnn");
  const palette = page.getByRole("dialog", { name: "Commands" });
  await visible(palette.getByRole("option", { name: "Run · dev/looks/long · finished" }));
  expect.soft(await axe(page)).toEqual([]);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${w.url}/dev/looks/runs/long`);
});
