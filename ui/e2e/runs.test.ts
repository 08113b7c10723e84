/** A project with very many runs, and a long log: filters, order, groups, what the address holds. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { longLog, manyRuns, numbers, seeder } from "./seed";
import { axe, PATIENCE, shot, signIn, world, type World } from "./world";

const RUNS = Number(process.env.LANZA_E2E_RUNS ?? 10_000);
const LINES = 30_000;

let w: World;
let page: Page;

beforeAll(async () => {
  w = await world();
  page = w.page;
  const seed = seeder(w);
  await manyRuns(seed, "many", RUNS, 12);
  await longLog(seed, "many", "log", LINES);
  await signIn(w);
}, 1_800_000);

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last-runs").catch(() => undefined);
  await w?.close();
});

const table = () => page.getByRole("table", { name: "Runs" });

test("the table orders by a metric as the client does", async () => {
  await page.goto(`${w.url}/dev/many?view=table&f=lr=0.1`);
  await table().getByRole("link").first().waitFor();
  await page.getByRole("columnheader", { name: "val/accuracy" }).getByRole("button").click();
  await page.waitForURL(/order=/);
  // What was written: the second number of each run, of every third run.
  const written = Array.from({ length: RUNS }, (_, index) => index)
    .filter((index) => index % 3 === 0)
    .map((index) => {
      const random = numbers(index + 1);
      random();
      return { name: `run-${index}`, value: random() };
    });
  const best = written.reduce((a, b) => (b.value > a.value ? b : a));
  await expect.poll(async () => table().getByRole("link").first().textContent(), { timeout: PATIENCE }).toBe(best.name);
  if (w.python) {
    const client = await w.python('import wandb; print(wandb.Api().runs("dev/many", filters={"config.lr": 0.1}, order="-summary_metrics.val/accuracy", per_page=5)[0].name)');
    expect(client).toBe(best.name);
  }
  await shot(page, "runs-many");
  expect.soft(await axe(page)).toEqual([]);
});

test("columns are widened, moved and pinned by hand, and a link shows them so", async () => {
  await page.goto(`${w.url}/dev/many?view=table&columns=state,summary.train/loss,summary.val/accuracy,config.lr,created`);
  await table().getByRole("link").first().waitFor();
  const heads = async (of: Page) => (await of.getByRole("columnheader").allTextContents()).map((text) => text.trim()).slice(2);
  const head = (name: string) => page.getByRole("columnheader", { name, exact: true });
  const before = (await head("train/loss").boundingBox())!;
  await page.mouse.move(before.x + before.width - 1, before.y + 10);
  await page.mouse.down();
  await page.mouse.move(before.x + before.width + 79, before.y + 10, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/widths=/);
  expect((await head("train/loss").boundingBox())!.width).toBeCloseTo(before.width + 80, 0);
  await head("lr").dragTo(head("State"));
  await expect.poll(async () => heads(page)).toEqual(["Name", "lr", "State", "train/loss", "val/accuracy", "Created ↓"]);
  await head("val/accuracy").click({ button: "right" });
  await page.getByRole("menuitem", { name: "Pin to the left" }).click();
  await expect.poll(async () => heads(page)).toEqual(["Name", "val/accuracy", "lr", "State", "train/loss", "Created ↓"]);
  await page.setViewportSize({ width: 900, height: 860 });
  // What is pinned stays where it is, what is not goes below it.
  const at = async (name: string) => (await head(name).boundingBox())!.x;
  const places = [await at("val/accuracy"), await at("Created ↓")];
  await page.locator(".runs-box").evaluate((box) => (box.scrollLeft = 60));
  expect([await at("val/accuracy"), (await at("Created ↓")) + 60]).toEqual(places);
  await shot(page, "runs-columns");
  expect.soft(await axe(page)).toEqual([]);
  await page.setViewportSize({ width: 1360, height: 860 });
  const other = await w.newPage();
  await other.goto(page.url());
  await other.getByRole("table", { name: "Runs" }).getByRole("link").first().waitFor();
  expect(await heads(other)).toEqual(await heads(page));
  await other.context().close();
});

test("words find names as they are written, and a row has the focus again when its drawer closes", async () => {
  await page.goto(`${w.url}/dev/many?view=table`);
  await table().getByRole("link").first().waitFor();
  const field = page.getByRole("combobox", { name: "Filter" });
  await field.fill("RUN-12");
  await field.press("Enter");
  await expect.poll(async () => (await table().getByRole("link").allTextContents()).every((name) => name.includes("run-12")), { timeout: PATIENCE }).toBe(true);
  const row = table().getByRole("row").nth(2);
  await row.getByText("finished").click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  expect(await row.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("rows are there wherever one scrolls", async () => {
  await page.goto(`${w.url}/dev/many?view=table`);
  await table().getByRole("link").first().waitFor();
  const box = page.locator(".runs-box");
  await expect
    .poll(
      async () => {
        await box.evaluate((element) => (element.scrollTop = element.scrollHeight));
        return Number(await table().getAttribute("aria-rowcount"));
      },
      { timeout: PATIENCE, interval: 100 },
    )
    .toBeGreaterThanOrEqual(Math.min(RUNS, 1_000));
  const last = await table().getByRole("row").last().textContent();
  expect(last).not.toBe("");
});

test("the way back leads to the row and the look that one left", async () => {
  await page.goto(`${w.url}/dev/many?view=table&f=lr%3D0.1`);
  await table().getByRole("link").first().waitFor();
  const box = page.locator(".runs-box");
  const down = async () => box.evaluate((element) => element.scrollTop);
  await box.evaluate((element) => (element.scrollTop = 700));
  await expect.poll(down).toBe(700);
  await table().getByRole("link").nth(25).click();
  await page.getByRole("tab", { name: "Charts" }).waitFor();
  await page.getByRole("checkbox", { name: "Log axis" }).check();
  await page.getByRole("tab", { name: "Log" }).click();
  await page.waitForURL(/\/log$/);
  await page.getByRole("tab", { name: "Charts" }).click();
  await page.waitForURL(/log=1/);
  expect(await page.getByRole("checkbox", { name: "Log axis" }).isChecked()).toBe(true);
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await table().getByRole("link").first().waitFor();
  await expect.poll(down, { timeout: PATIENCE }).toBe(700);
});

test("runs are grouped by a setting, and a group shows its runs", async () => {
  await page.goto(`${w.url}/dev/many?view=table`);
  await table().getByRole("link").first().waitFor();
  await page.getByRole("combobox", { name: "Group by" }).selectOption("config.optimizer");
  const groups = page.getByRole("table", { name: "Groups" });
  const adam = groups.getByRole("row").filter({ hasText: "adam" });
  await adam.waitFor();
  expect(await adam.getByRole("cell").nth(1).textContent()).toBe(Math.ceil(RUNS / 2).toLocaleString("en-US"));
  await shot(page, "runs-groups");
  expect.soft(await axe(page)).toEqual([]);
  await adam.getByRole("button", { name: "adam" }).click();
  await page.getByText("config.optimizer = adam").waitFor();
  await table().getByRole("link").first().waitFor();
});

test("a link shows what one saw: filter, look, what is hidden", async () => {
  await page.goto(`${w.url}/dev/many?f=seed<3`);
  await table().getByRole("link").first().waitFor();
  await page.getByRole("button", { name: "Hide run-1 in the charts" }).click();
  await page.getByRole("checkbox", { name: "Log axis" }).check();
  await page.waitForURL(/hide=.*log=1|log=1.*hide=/);
  const other = await w.newPage();
  await other.goto(page.url());
  await other.getByRole("button", { name: "Show run-1 in the charts" }).waitFor();
  expect(await other.getByRole("checkbox", { name: "Log axis" }).isChecked()).toBe(true);
  await other.context().close();
});

test("a long log opens at its end, finds words in its middle, and a line has a link", async () => {
  await page.goto(`${w.url}/dev/many/runs/log/log`);
  const log = page.getByRole("log", { name: "Log" });
  await log.getByText(`step ${LINES} of the log`).waitFor();
  await page.getByRole("searchbox", { name: "Search the log" }).fill("step 12345 ");
  await page.getByRole("button", { name: "Next hit" }).click();
  await log.getByText("step 12345 of the log").waitFor();
  await shot(page, "log-search");
  expect.soft(await axe(page)).toEqual([]);
  await page.goto(`${w.url}/dev/many/runs/log/log#L777`);
  await page.reload();
  await log.getByText("step 777 of the log").waitFor();
});

test("nothing was asked of another host, and no policy was broken", () => {
  expect(w.complaints).toEqual([]);
});
