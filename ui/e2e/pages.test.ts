/** Lists, the drawers over them and the pages behind them; and that a link shows a colleague what one sees. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { manyRuns, seeder, upsert } from "./seed";
import { axe, everyLook, PATIENCE, shot, signIn, source, visible, world, type World } from "./world";

/** The address of a place of our server, without the server. */
const place = (page: Page) => page.url().slice(w.url.length);

let w: World;
let page: Page;
let item = "";

beforeAll(async () => {
  w = await world({ seed: true });
  page = w.page;
  const code = (rate: number) => `rate = ${rate}\nprint("rate", rate)\nfor step in range(10):\n    print("step", step)\n`;
  const folder = source(w.folder, code(1), "");
  writeFileSync(join(folder, "Dockerfile"), "FROM python:3.11-slim\nCOPY . .\n");
  const create = async (name: string, ...more: string[]) => w.lanza("job", "create", "code", join(folder, "train.py"), "-p", "sources", "-n", name, ...more);
  await create("plain");
  writeFileSync(join(folder, "train.py"), code(2));
  await create("plain");
  await create("image", "--dockerfile", "Dockerfile");
  item = await w.lanza("launch", "-q", "default", "-j", "sources/plain");
  await manyRuns(seeder(w), "many", 80, 4);
  for (const lr of [0.1, 0.2, 0.3]) await upsert(seeder(w), { name: `tried-${lr * 10}`, project: "swept", sweep: "12345678", title: `rate ${lr}`, config: { lr, batch: 8 }, summary: { "val/accuracy": 1 - lr } });
  await signIn(w);
}, 300_000);

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last-pages").catch(() => undefined);
  await w?.close();
});

/** Opens the address of the page as somebody else would, who was sent it. */
async function sent(look: (other: Page) => Promise<void>) {
  const other = await w.newPage();
  try {
    // Who is sent a link has made other choices.
    await other.addInitScript(() => localStorage.setItem("lanza.entity", "dev"));
    await other.goto(page.url());
    await look(other);
  } finally {
    await other.context().close();
  }
}

describe("a link shows what one saw", () => {
  test("the entity and the filter of a list", async () => {
    await page.goto(`${w.url}/launch`);
    const queues = page.getByRole("table", { name: "Queues" });
    await page.getByRole("combobox", { name: "Entity" }).selectOption("team-a");
    const filter = page.getByRole("combobox", { name: "Filter queues" });
    await filter.fill("g");
    await queues.getByText("gpu", { exact: true }).waitFor();
    await page.waitForURL(/q=g/);
    await filter.fill("name:gpu");
    await filter.press("Enter");
    await visible(page.getByRole("button", { name: "Remove the filter name = gpu" }));
    await expect.poll(async () => queues.getByRole("row").count(), { timeout: PATIENCE }).toBe(2);
    expect(place(page)).toBe("/launch?entity=team-a&f=name%3Dgpu");
    expect.soft(await axe(page)).toEqual([]);
    await sent(async (other) => {
      await visible(other.getByRole("table", { name: "Queues" }).getByText("gpu", { exact: true }));
      expect(await other.getByRole("table", { name: "Queues" }).getByRole("row").count()).toBe(2);
      expect(await other.getByRole("combobox", { name: "Entity" }).inputValue()).toBe("team-a");
    });
    await page.getByRole("combobox", { name: "Entity" }).selectOption("All entities");
  });

  test("the filter of a queue's items, which the server does", async () => {
    await page.goto(`${w.url}/launch/team-a/gpu/items`);
    const items = page.getByRole("table", { name: "Items" });
    await visible(items.getByRole("row").nth(1));
    const column = (await items.getByRole("columnheader").allTextContents()).indexOf("By");
    const filter = page.getByRole("combobox", { name: "Add filter" });
    await filter.fill("author:user-1");
    await filter.press("Enter");
    await visible(page.getByRole("button", { name: "Remove the filter author = user-1" }));
    const authors = async (other: Page) => [...new Set(await other.getByRole("table", { name: "Items" }).locator(`tbody tr td:nth-child(${column + 1})`).allTextContents())];
    await expect.poll(async () => authors(page), { timeout: PATIENCE }).toEqual(["user-1"]);
    expect(place(page)).toBe("/launch/team-a/gpu/items?author=user-1");
    await sent(async (other) => expect.poll(async () => authors(other), { timeout: PATIENCE }).toEqual(["user-1"]));
  });

  test("a line of the log of a phase", async () => {
    await page.goto(`${w.url}/launch/dev/default/items?item=${item}`);
    const drawer = page.getByRole("dialog", { name: `Item ${item}` });
    // It is no run of the client, which is a cause of its own.
    await visible(drawer.getByRole("status", { name: "Cause" }), 3 * PATIENCE);
    await drawer.getByRole("button", { name: /^run/ }).click();
    await visible(drawer.getByRole("log", { name: "Log" }).getByText("rate 2"));
    await drawer.getByRole("button", { name: /^build/ }).click();
    await visible(drawer.getByRole("button", { name: /^build/, pressed: true }));
    await drawer.getByRole("button", { name: /^run/ }).click();
    await drawer.getByRole("link", { name: "Line 1", exact: true }).click();
    await page.waitForURL(/#L1$/);
    expect(place(page)).toBe(`/launch/dev/default/items?item=${item}&phase=run&attempt=1#L1`);
    await sent(async (other) => {
      const same = other.getByRole("dialog", { name: `Item ${item}` });
      await visible(same.getByRole("button", { name: /^run/, pressed: true }));
      await visible(same.locator("#L1.hit"));
    });
  });

  test("the launch drawer with its version", async () => {
    await page.goto(`${w.url}/dev/sources/jobs/plain`);
    await page.getByRole("button", { name: "Launch", exact: true }).click();
    const drawer = page.getByRole("dialog", { name: "Launch plain" });
    await drawer.getByRole("combobox", { name: "Version" }).selectOption("v0");
    await page.waitForURL(/launch=v0/);
    await drawer.getByRole("textbox", { name: "Run name" }).fill("typed");
    expect(place(page)).toBe("/dev/sources/jobs/plain?launch=v0");
    await sent(async (other) => expect(await other.getByRole("dialog", { name: "Launch plain" }).getByRole("combobox", { name: "Version" }).inputValue()).toBe("v0"));
    await page.keyboard.press("Escape");
    // It has a name in it, so it asks.
    await page.getByRole("button", { name: "Leave", exact: true }).click();
    await page.waitForURL(/plain$/);
  });

  test("two versions and the lines of the code that differ", async () => {
    await page.goto(`${w.url}/dev/sources/jobs/plain?tab=versions`);
    const difference = page.getByRole("region", { name: "Difference" });
    const lines = difference.getByRole("region", { name: "Lines of train.py that differ" });
    await visible(lines.getByText("-rate = 1", { exact: true }));
    await visible(lines.getByText("+rate = 2", { exact: true }));
    await shot(page, "job-diff");
    expect.soft(await axe(page)).toEqual([]);
    await difference.getByRole("combobox", { name: "From" }).selectOption("v1");
    await difference.getByRole("combobox", { name: "To" }).selectOption("v0");
    await visible(lines.getByText("-rate = 2", { exact: true }));
    await sent(async (other) => visible(other.getByRole("region", { name: "Lines of train.py that differ" }).getByText("+rate = 1", { exact: true })));
  });

  test("a run that is selected further down than what is loaded", async () => {
    await page.goto(`${w.url}/dev/many?order=%2Bcreated_at&pick=r000079`);
    await visible(page.getByText(/· 1 selected/));
    await visible(page.getByRole("figure", { name: "train/loss" }));
    await visible(page.getByRole("button", { name: "1 run selected" }));
  });
});

describe("a list, a drawer, a page", () => {
  test("of runs", async () => {
    await page.goto(`${w.url}/team-a/digits?view=table`);
    const rows = page.getByRole("table", { name: "Runs" }).locator("tr[data-index]");
    await visible(rows.first());
    const names = await rows.getByRole("link").evaluateAll((links) => links.filter((link) => link.getAttribute("href")?.includes("/runs/")).map((link) => link.textContent));
    await rows.first().locator('[data-state]').click();
    const drawer = page.getByRole("dialog", { name: /^Run / });
    await visible(drawer.getByRole("link", { name: names[0]!, exact: true }));
    await visible(drawer.getByRole("region", { name: "Results" }));
    await shot(page, "run-drawer");
    expect.soft(await axe(page)).toEqual([]);
    await page.keyboard.press("ArrowDown");
    await visible(drawer.getByRole("link", { name: names[1]!, exact: true }));
    const second = new URL(page.url()).searchParams.get("run");
    await sent(async (other) => visible(other.getByRole("dialog", { name: `Run ${second}` }).getByRole("link", { name: names[1]!, exact: true })));
    await page.keyboard.press("Escape");
    await drawer.waitFor({ state: "hidden" });
    expect(place(page)).toBe("/team-a/digits?view=table");
    // The keyboard opens the row that it is on.
    await rows.nth(1).focus();
    await page.keyboard.press("Enter");
    await drawer.getByRole("link", { name: names[1]!, exact: true }).click();
    await page.waitForURL(`${w.url}/team-a/digits/runs/${second}`);
    await page.goBack();
    await visible(drawer);
    await page.keyboard.press("Escape");
  });

  test("of jobs and projects", async () => {
    await page.goto(`${w.url}/dev/sources/jobs`);
    await page.getByRole("table", { name: "Jobs" }).getByRole("row").filter({ hasText: "plain" }).getByText("v1", { exact: true }).click();
    const job = page.getByRole("dialog", { name: "Job plain" });
    await visible(job.getByRole("table", { name: "Last launches" }));
    await shot(page, "job-drawer");
    expect.soft(await axe(page)).toEqual([]);
    await job.getByRole("button", { name: "Launch", exact: true }).click();
    await visible(page.getByRole("dialog", { name: "Launch plain" }).getByRole("combobox", { name: "Version" }));
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Launch plain" }).waitFor({ state: "hidden" });
    await job.getByRole("link", { name: "plain", exact: true }).click();
    await page.waitForURL(`${w.url}/dev/sources/jobs/plain`);

    await page.goto(`${w.url}/projects`);
    await page.getByRole("table", { name: "Projects" }).getByRole("row").filter({ hasText: "digits" }).getByText("team-a", { exact: true }).click();
    const project = page.getByRole("dialog", { name: "Project digits" });
    await visible(project.getByRole("table", { name: "Newest runs" }));
    await shot(page, "project-drawer");
    await project.getByRole("link", { name: "digits", exact: true }).click();
    await page.waitForURL(`${w.url}/team-a/digits`);
  });

  test("of artifacts and sweeps", async () => {
    await page.goto(`${w.url}/dev/sources/artifacts`);
    const rows = page.getByRole("table", { name: "Artifacts" }).getByRole("row");
    await rows.filter({ has: page.getByRole("link", { name: "plain", exact: true }) }).getByText("v1", { exact: true }).click();
    const artifact = page.getByRole("dialog", { name: "Artifact plain:v1" });
    await visible(artifact.getByRole("table", { name: "Newest versions" }).getByRole("link", { name: "v0" }));
    await shot(page, "artifact-drawer");
    await sent(async (other) => visible(other.getByRole("dialog", { name: "Artifact plain:v1" })));
    await artifact.getByRole("link", { name: "plain", exact: true }).click();
    await page.waitForURL(`${w.url}/dev/sources/artifacts/job/plain/v1`);

    await page.goto(`${w.url}/dev/swept/sweeps`);
    await page.getByRole("table", { name: "Sweeps" }).getByRole("cell", { name: "3", exact: true }).click();
    const sweep = page.getByRole("dialog", { name: "Sweep 12345678" });
    await visible(sweep.getByRole("region", { name: "Parameters" }).getByText("0.1, 0.2, 0.3"));
    await visible(sweep.locator("dd").filter({ hasText: "0.9" }).getByRole("link", { name: "rate 0.1" }));
    await visible(sweep.locator("dd").filter({ hasText: "0.7" }).getByRole("link", { name: "rate 0.3" }));
    await shot(page, "sweep-drawer");
    await sent(async (other) => visible(other.getByRole("dialog", { name: "Sweep 12345678" })));
    await sweep.getByRole("link", { name: "12345678", exact: true }).click();
    // A name that reads as a number is a name.
    await expect.poll(async () => page.getByRole("table", { name: "Runs" }).getAttribute("aria-rowcount"), { timeout: PATIENCE }).toBe("4");
  });

  test("of files, with their text in the app", async () => {
    await page.goto(`${w.url}/dev/sources/jobs/image?tab=files`);
    await visible(page.getByRole("region", { name: "Text of Dockerfile" }).getByText("FROM python:3.11-slim"));
    await page.getByRole("table", { name: "Files" }).getByRole("link", { name: "train.py" }).click();
    const file = page.getByRole("dialog", { name: "File train.py" });
    await visible(file.getByRole("region", { name: "Text of train.py" }).getByText("rate = 2"));
    await shot(page, "job-file");
    expect.soft(await axe(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await file.waitFor({ state: "hidden" });
    await page.goto(`${w.url}/team-a/digits/jobs/train-digits?tab=files`);
    await visible(page.getByRole("link", { name: "https://git.example/team-a/digits.git" }));
  });
});

test("new rows wait while one has scrolled, and come when one asks", async () => {
  await page.goto(`${w.url}/dev/many?view=table`);
  const table = page.getByRole("table", { name: "Runs" });
  await visible(table.getByRole("link").first());
  await page.mouse.move(2, 2);
  const box = page.locator(".runs-box");
  await box.evaluate((element) => (element.scrollTop = 600));
  // A further page is another list, of which nothing is held back.
  await expect.poll(async () => table.getAttribute("aria-rowcount"), { timeout: PATIENCE }).toBe("81");
  await upsert(seeder(w), { name: "fresh", project: "many", title: "a fresh run", config: {} });
  const fresh = page.getByRole("button", { name: "1 new" });
  await visible(fresh);
  expect(await table.getByRole("link", { name: "a fresh run" }).count()).toBe(0);
  await shot(page, "runs-fresh");
  expect.soft(await axe(page)).toEqual([]);
  await fresh.click();
  await visible(table.getByRole("link", { name: "a fresh run" }));
  expect(await box.evaluate((element) => element.scrollTop)).toBe(0);
});

test("rows are compact for who chose that", async () => {
  const height = async () => (await page.getByRole("table", { name: "Runs" }).locator("tr[data-index]").first().boundingBox())!.height;
  await page.goto(`${w.url}/dev/many?view=table`);
  await visible(page.getByRole("table", { name: "Runs" }).getByRole("link").first());
  expect(await height()).toBe(32);
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.getByRole("menuitemcheckbox", { name: "Compact rows" }).click();
  await expect.poll(height).toBe(26);
  await shot(page, "runs-compact");
  await page.goto(`${w.url}/launch`);
  await visible(page.getByRole("table", { name: "Queues" }).getByRole("row").nth(1));
  await shot(page, "queues-compact");
  await page.evaluate(() => localStorage.removeItem("lanza.rows"));
});

test("drawers in every look, without a complaint of axe", async () => {
  const runs = (await (await fetch(`${w.url}/api/v1/entities/team-a/projects/digits/runs?state=finished&limit=1`, { headers: { authorization: `Bearer ${w.key}` } })).json()) as { items: { id: string }[] };
  const agents = (await (await fetch(`${w.url}/api/v1/entities/dev/agents?limit=1`, { headers: { authorization: `Bearer ${w.key}` } })).json()) as { items: { id: string }[] };
  const screens: [string, string][] = [
    ["drawer-run", `/team-a/digits?run=${runs.items[0]!.id}`],
    ["drawer-job", "/dev/sources/jobs?job=plain"],
    ["drawer-project", "/projects?project=team-a/digits"],
    ["drawer-item", `/launch/dev/default/items?item=${item}&phase=run`],
    ["drawer-queue", "/launch?queue=team-a/gpu"],
    ["drawer-agent", `/agents?agent=${agents.items[0]!.id}`],
    ["drawer-artifact", `/dev/sources/artifacts?artifact=${encodeURIComponent("dev/sources/job/plain:v1")}`],
    ["drawer-sweep", "/dev/swept/sweeps?sweep=12345678"],
    ["drawer-file", "/dev/sources/jobs/plain?tab=files&file=train.py"],
    ["drawer-launch", "/dev/sources/jobs/plain?launch=v1"],
    ["job-dockerfile", "/dev/sources/jobs/image?tab=files"],
    ["job-git-files", "/team-a/digits/jobs/train-digits?tab=files"],
    ["job-code-diff", "/dev/sources/jobs/plain?tab=versions"],
    ["chips", "/agents?f=status%3Dpolling&f=digits"],
  ];
  expect(await everyLook(w, screens)).toEqual([]);
}, 15 * PATIENCE);

test("the menu of a phone leads on, and closes when it did or by Esc", async () => {
  const phone = await w.newPage({ phone: true });
  await phone.goto(`${w.url}/projects`);
  const menu = phone.getByRole("button", { name: "Menu", exact: true });
  const queues = phone.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /^Queues/ });
  await menu.click();
  await visible(queues);
  await phone.waitForFunction(() => document.querySelector(".side")!.getBoundingClientRect().left === 0);
  await shot(phone, "phone-menu");
  expect.soft(await axe(phone)).toEqual([]);
  await phone.keyboard.press("Escape");
  await queues.waitFor({ state: "hidden" });
  expect(await menu.getAttribute("aria-expanded")).toBe("false");
  await menu.click();
  await queues.click();
  // What was chosen in the entity switch may stand behind it.
  await phone.waitForURL(/\/launch(\?|$)/);
  await queues.waitFor({ state: "hidden" });
  await phone.context().close();
});

test("nothing was asked of another host, and no policy was broken", () => {
  expect(w.complaints).toEqual([]);
});
