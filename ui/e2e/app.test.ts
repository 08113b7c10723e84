import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axe, PATIENCE, shot, source, world, type World } from "./world";

const script = `
import sys, time
import wandb

with wandb.init(config={"lr": 0.1, "epochs": 3, "model": {"width": 8}}) as run:
    for step in range(int(run.config["epochs"]) * 10):
        run.log({"train/loss": 1 / (1 + step * run.config["lr"]), "accuracy": step / 100})
    print("\\x1b[32mgreen words\\x1b[0m and plain ones")
    print("width", run.config["model"]["width"])
    if run.config["lr"] > 0.5:
        sys.exit("the rate is too high")
    time.sleep(1)
`;
const schema = {
  type: "object",
  properties: {
    lr: { type: "number", minimum: 0, maximum: 1, default: 0.1, description: "learning rate" },
    epochs: { type: "integer", minimum: 1, default: 3 },
    model: { type: "object", properties: { width: { type: "integer", default: 8 } } },
  },
};

let w: World;
let page: Page;

beforeAll(async () => {
  w = await world();
  page = w.page;
});

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last").catch(() => undefined);
  await w?.close();
});

const visible = (target: { waitFor: (o: { state: "visible"; timeout?: number }) => Promise<void> }, timeout = PATIENCE) => target.waitFor({ state: "visible", timeout });

describe("from sign-in to charts", () => {
  test("a wrong key is refused, a right one leads to where one wanted to go", async () => {
    await page.goto(`${w.url}/launch`);
    await page.waitForURL(/\/login\?next=/);
    await shot(page, "login");
    expect.soft(await axe(page)).toEqual([]);
    await page.getByLabel("API key").fill("x".repeat(40));
    await page.getByRole("button", { name: "Sign in" }).click();
    await visible(page.getByRole("alert"));
    await page.getByLabel("API key").fill(w.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${w.url}/launch`);
  });

  test("an empty server shows the first steps", async () => {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Home" }).click();
    await visible(page.getByRole("region", { name: "First steps" }));
    expect(await page.getByText(`WANDB_BASE_URL=${w.url}`).count()).toBeGreaterThan(0);
    await shot(page, "home-new");
  });

  test("the documented five steps lead to the agents of a queue", async () => {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Queues" }).click();
    const entity = page.getByRole("combobox", { name: "Entity" });
    expect(await entity.locator("option").first().textContent()).toBe("All entities");
    await entity.selectOption("All entities");
    const row = page.getByRole("table", { name: "Queues" }).getByRole("row").filter({ hasText: "default" });
    await row.getByRole("link", { name: "View queue" }).click();
    await page.getByRole("tab", { name: "Agents" }).click();
    const agent = page.getByRole("table", { name: "Agents" }).getByRole("row").nth(1);
    await visible(agent.getByText("Polling"));
    const id = (await w.lanza("agent", "list", "--json").then((text) => JSON.parse(text) as { items: { id: string }[] })).items[0]!.id;
    expect(await agent.locator("code").first().getAttribute("title")).toBe(id);
    await shot(page, "queue-agents");
  });

  let item = "";
  test("a job is launched from a form, and refused field by field", async () => {
    const folder = source(w.folder, script);
    writeFileSync(join(w.folder, "schema.json"), JSON.stringify(schema));
    await w.lanza("job", "create", "code", join(folder, "train.py"), "-p", "digits", "-n", "train-digits", "--schema", join(w.folder, "schema.json"));
    await page.goto(`${w.url}/dev/digits/jobs`);
    await page.getByRole("table", { name: "Jobs" }).getByRole("link", { name: "train-digits" }).click();
    await visible(page.getByRole("tab", { name: "Versions" }));
    await shot(page, "job");
    expect.soft(await axe(page)).toEqual([]);
    await page.getByRole("button", { name: "Launch", exact: true }).click();
    const drawer = page.getByRole("dialog", { name: "Launch train-digits" });
    const lr = drawer.getByRole("textbox", { name: "lr" });
    expect(await lr.inputValue()).toBe("0.1");
    await lr.fill("7");
    await drawer.getByRole("button", { name: /^Launch/ }).click();
    // The server refused; the form keeps what was typed and says it at the field.
    await visible(drawer.getByRole("alert").first());
    await expect.poll(async () => lr.getAttribute("aria-describedby").then(async (ids) => drawer.locator(`[id="${ids?.split(" ")[0]}"]`).textContent()), { timeout: PATIENCE }).toMatch(/at most/);
    expect(await lr.inputValue()).toBe("7");
    await shot(page, "launch-refused");
    await lr.fill("0.25");
    await drawer.getByRole("textbox", { name: "model.width" }).fill("32");
    await drawer.getByText("What will run").click();
    await visible(drawer.getByText("wandb.config.model.width = 32"));
    await shot(page, "launch");
    expect.soft(await axe(page)).toEqual([]);
    await drawer.getByRole("button", { name: /^Launch/ }).click();
    await page.waitForURL(/item=/);
    item = new URL(page.url()).searchParams.get("item")!;
  });

  test("its drawer follows the phases to the end", async () => {
    const drawer = page.getByRole("dialog", { name: `Item ${item}` });
    await visible(drawer.getByRole("list", { name: "Phases" }));
    await visible(drawer.getByRole("list", { name: "Phases" }).getByText("build"), 2 * PATIENCE);
    await shot(page, "item-live");
    await visible(drawer.locator('[data-state="finished"]').first(), 3 * PATIENCE);
    await drawer.getByRole("button", { name: /^run/ }).click();
    await visible(drawer.getByRole("log", { name: "Log" }).getByText("width 32"));
    await shot(page, "item");
    expect.soft(await axe(page)).toEqual([]);
  });

  test("its run has the charts, the config and the log, with the client's numbers", async () => {
    const drawer = page.getByRole("dialog", { name: `Item ${item}` });
    const name = await w.lanza("item", "show", item, "--json").then((text) => (JSON.parse(text) as { item: { run: string } }).item.run);
    await drawer.getByRole("link", { name }).click();
    const chart = page.getByRole("figure", { name: "train/loss" });
    await visible(chart.locator("canvas"));
    await chart.getByRole("button", { name: "View data" }).click();
    const table = page.getByRole("dialog", { name: "Data of train/loss" }).getByRole("table", { name: "train/loss" });
    await expect.poll(async () => table.getByRole("row").count(), { timeout: PATIENCE }).toBe(31);
    const shown = await table.getByRole("row").nth(30).getByRole("cell").nth(1).getAttribute("title");
    if (w.python) {
      const client = await w.python(`import wandb; print(wandb.Api().run("dev/digits/${name}").summary["train/loss"])`);
      expect(Number(shown)).toBeCloseTo(Number(client), 12);
    }
    expect(Number(shown)).toBeCloseTo(1 / (1 + 29 * 0.25), 12);
    await page.keyboard.press("Escape");
    await shot(page, "run-charts");
    expect.soft(await axe(page)).toEqual([]);
    await page.getByRole("tab", { name: "Overview" }).click();
    await visible(page.getByRole("tree", { name: "Config" }).getByRole("treeitem", { name: "lr: 0.25" }));
    await shot(page, "run-overview");
    expect.soft(await axe(page)).toEqual([]);
    await page.getByRole("tab", { name: "Log" }).click();
    const green = page.getByRole("log", { name: "Log" }).getByText("green words");
    await visible(green);
    expect(await green.getAttribute("class")).toContain("ansi-fg-2");
    await shot(page, "run-log");
    expect.soft(await axe(page)).toEqual([]);
    await page.getByRole("tab", { name: "Files" }).click();
    await visible(page.getByRole("table", { name: "Files" }));
    await shot(page, "run-files");
  });

  test("a job that fails says why in its row", async () => {
    await w.lanza("launch", "-q", "default", "-j", "digits/train-digits", "--set", "lr=0.9", "--set", "epochs=1").catch(() => undefined);
    await page.goto(`${w.url}/launch/dev/default/items`);
    const row = page.getByRole("table", { name: "Items" }).getByRole("row").filter({ has: page.locator('[data-state="failed"]') });
    await visible(row, 3 * PATIENCE);
    expect(await row.getByRole("link", { name: /^LZ\d+$/ }).count()).toBe(1);
    await shot(page, "queue-items");
    expect.soft(await axe(page)).toEqual([]);
    await row.getByText("failed").click();
    const drawer = page.getByRole("dialog", { name: /^Item / });
    await visible(drawer.getByRole("status", { name: "Cause" }));
    await shot(page, "item-failed");
    // Esc closes; the list is where it was.
    await page.keyboard.press("Escape");
    await drawer.waitFor({ state: "hidden" });
  });
});

describe("while it runs", () => {
  test("a run draws its charts live and is stopped from its page", async () => {
    const item = await w.lanza("launch", "-q", "default", "-j", "digits/train-digits", "--set", "epochs=100000", "--set", "lr=0.2");
    await page.goto(`${w.url}/launch/dev/default/items?item=${item}`);
    const drawer = page.getByRole("dialog", { name: `Item ${item}` });
    await drawer.getByRole("link", { name: /^[a-z0-9]{8}$/ }).click({ timeout: 3 * PATIENCE });
    const chart = page.getByRole("figure", { name: "accuracy" });
    await visible(chart.locator("canvas"));
    const points = async () => {
      await chart.getByRole("button", { name: "View data" }).click();
      const rows = await page.getByRole("dialog", { name: "Data of accuracy" }).getByRole("row").last().getByRole("cell").first().textContent();
      await page.keyboard.press("Escape");
      return Number(rows?.replaceAll(",", ""));
    };
    const before = await points();
    await expect.poll(points, { timeout: PATIENCE, interval: 1_000 }).toBeGreaterThan(before);
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop 1 running run" }).click();
    await visible(page.locator('.page-head [data-state="killed"]'), 2 * PATIENCE);
    await expect.poll(async () => w.lanza("item", "show", item, "--json").then((text) => (JSON.parse(text) as { item: { state: string } }).item.state), { timeout: PATIENCE }).toBe("stopped");
  });

  test("a build that fails says which package", async () => {
    const folder = source(join(w.folder, "bad"), script, "lanza-has-no-such-package==9.9.9\n");
    await w.lanza("job", "create", "code", join(folder, "train.py"), "-p", "digits", "-n", "bad");
    const item = await w.lanza("launch", "-q", "default", "-j", "digits/bad");
    await page.goto(`${w.url}/launch/dev/default/items?item=${item}`);
    const drawer = page.getByRole("dialog", { name: `Item ${item}` });
    await visible(drawer.getByRole("status", { name: "Cause" }).getByText("lanza-has-no-such-package"), 3 * PATIENCE);
    // The log of the phase that failed is open.
    await visible(drawer.getByRole("button", { name: /^build/, pressed: true }));
    await shot(page, "item-build-failed");
    await page.keyboard.press("Escape");
  });
});

describe("queues", () => {
  test("a queue with a template is made, and refuses what its admin did not allow", async () => {
    await page.goto(`${w.url}/launch`);
    await page.getByRole("button", { name: "Create queue" }).click();
    const dialog = page.getByRole("dialog", { name: "Create queue" });
    await dialog.getByRole("textbox", { name: "Name" }).fill("limited");
    await dialog.getByRole("combobox", { name: "Target" }).selectOption("docker");
    await dialog.getByRole("textbox", { name: "Configuration" }).fill('{"cpus": "{{cpus}}", "memory": "1g"}');
    await dialog.getByRole("button", { name: "Parse configuration" }).click();
    const tile = dialog.getByRole("group", { name: "cpus" });
    await tile.getByRole("combobox", { name: "Type" }).selectOption("integer");
    await tile.getByRole("spinbutton", { name: "Maximum" }).fill("4");
    await shot(page, "create-queue");
    expect.soft(await axe(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Create", exact: true }).click();
    await page.waitForURL(/\/launch\/dev\/limited\/items/);
    const alert = page.getByRole("alert").filter({ hasText: "No agent polls this queue" });
    await visible(alert.getByRole("button", { name: "Copy command" }));
    await shot(page, "queue-no-agent");

    await page.getByRole("button", { name: "Launch", exact: true }).click();
    await page.getByRole("dialog", { name: "Launch a job" }).getByRole("button", { name: /train-digits/ }).click();
    const drawer = page.getByRole("dialog", { name: "Launch train-digits" });
    await drawer.getByRole("textbox", { name: "cpus" }).fill("9");
    await drawer.getByRole("button", { name: /^Launch/ }).click();
    await visible(drawer.getByRole("alert").filter({ hasText: "cpus" }));
    await drawer.getByRole("textbox", { name: "cpus" }).fill("2");
    await drawer.getByRole("button", { name: /^Launch/ }).click();
    await page.waitForURL(/item=/);
    const item = page.getByRole("dialog", { name: /^Item / });
    await visible(item.getByRole("status", { name: "Why it waits" }));
    await shot(page, "item-waiting");
    await item.getByRole("button", { name: "Stop" }).click();
    await visible(item.locator('[data-state="stopped"]').first());
    await page.keyboard.press("Escape");
  });

  test("an agent that comes takes the banner away, one that goes brings it back", async () => {
    await w.lanza("queue", "create", "second", "--target", "process");
    await page.goto(`${w.url}/launch/dev/second/agents`);
    const alert = page.getByRole("alert");
    await visible(alert);
    const agent = w.start("agent", "-q", "second", "--state", join(w.folder, "agent"));
    await alert.waitFor({ state: "hidden", timeout: PATIENCE });
    await visible(page.getByRole("table", { name: "Agents" }).getByText("Polling"));
    agent.kill("SIGTERM");
    await visible(alert);
    await visible(page.getByRole("table", { name: "Agents" }).getByText("Killed"));
  });

  test("pause and resume", async () => {
    await page.goto(`${w.url}/launch/dev/default/items`);
    await page.getByRole("button", { name: "Pause" }).click();
    await visible(page.getByRole("button", { name: "Resume" }));
    await page.getByRole("button", { name: "Resume" }).click();
    await visible(page.getByRole("button", { name: "Pause" }));
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("status", { name: "Notices" }).getByRole("button", { name: "Undo" }).last().click();
    await visible(page.getByRole("button", { name: "Pause" }));
  });

  test("a change of a queue is kept with its values and its author, and can be taken back", async () => {
    await page.goto(`${w.url}/launch/dev/limited/config`);
    const limit = page.getByRole("spinbutton", { name: "Running at most" });
    await limit.fill("3");
    await page.getByRole("button", { name: "Save" }).click();
    const changes = page.getByRole("region", { name: "Changes" });
    await visible(changes.getByText("+ policy.max_running = 3"));
    await visible(changes.getByRole("listitem").filter({ hasText: "dev changed" }).first());
    await shot(page, "queue-history");
    expect.soft(await axe(page)).toEqual([]);
    await page.getByRole("status", { name: "Notices" }).getByRole("button", { name: "Undo" }).click();
    await visible(changes.getByText("- policy.max_running = 3"));
    await expect.poll(async () => limit.inputValue(), { timeout: PATIENCE }).toBe("");
  });
});

describe("the frame", () => {
  test("Ctrl-K goes anywhere", async () => {
    await page.goto(`${w.url}/`);
    await visible(page.getByRole("heading", { name: "Home" }));
    await page.keyboard.press("Control+k");
    const palette = page.getByRole("dialog", { name: "Commands" });
    await visible(palette);
    await page.keyboard.type("digits");
    await shot(page, "palette");
    expect.soft(await axe(page)).toEqual([]);
    await page.keyboard.press("Enter");
    await page.waitForURL(`${w.url}/dev/digits`);
    await visible(page.getByRole("table", { name: "Runs" }).getByRole("link").first());
    await visible(page.getByRole("figure", { name: "accuracy" }).locator("canvas"));
    await shot(page, "runs");
    expect.soft(await axe(page)).toEqual([]);
  });

  test("the filter chips are in the address and the server follows them", async () => {
    await page.goto(`${w.url}/dev/digits?f=lr>0.5`);
    const table = page.getByRole("table", { name: "Runs" });
    await expect.poll(async () => table.getAttribute("aria-rowcount"), { timeout: PATIENCE }).toBe("2");
    await visible(page.getByText("config.lr > 0.5"));
    await page.getByRole("button", { name: /^Remove the filter/ }).click();
    const all = await w.lanza("run", "list", "-p", "digits", "--json").then((text) => (JSON.parse(text) as { items: unknown[] }).items.length);
    await expect.poll(async () => table.getAttribute("aria-rowcount"), { timeout: PATIENCE }).toBe(String(all + 1));
  });

  test("a key is made and shown once", async () => {
    await page.goto(`${w.url}/authorize`);
    await page.getByRole("button", { name: "Make a new API key" }).click();
    await visible(page.locator("pre").filter({ hasText: /^\w{40}$/ }));
    await shot(page, "authorize");
    await page.goto(`${w.url}/settings/keys`);
    const key = page.getByRole("table", { name: "API keys" }).getByRole("row").filter({ hasText: "made on the authorize page" });
    await visible(key);
    await shot(page, "settings-keys");
    expect.soft(await axe(page)).toEqual([]);
    await key.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await key.waitFor({ state: "hidden" });
  });

  test("every screen in the dark and on a phone, without a complaint of axe", async () => {
    const run = (await w.lanza("run", "list", "-p", "digits", "--json").then((text) => JSON.parse(text) as { items: { id: string }[] })).items[0]!.id;
    const screens: [string, string][] = [
      ["home", "/"],
      ["queues", "/launch"],
      ["queue", "/launch/dev/default/items"],
      ["queue-monitor", "/launch/dev/default/monitor"],
      ["queue-config", "/launch/dev/limited/config"],
      ["projects", "/projects"],
      ["runs", "/dev/digits"],
      ["run", `/dev/digits/runs/${run}`],
      ["run-system", `/dev/digits/runs/${run}/system`],
      ["job", "/dev/digits/jobs/train-digits"],
      ["job-launches", "/dev/digits/jobs/train-digits?tab=launches"],
      ["agents", "/agents"],
      ["usage", "/usage"],
      ["admin", "/admin"],
      ["admin-server", "/admin?tab=health"],
      ["secrets", "/settings/secrets"],
      ["project-jobs", "/dev/digits/jobs"],
      ["sweeps", "/dev/digits/sweeps"],
      ["scatter", "/dev/digits?sx=config.lr&sy=summary.accuracy&smooth=0.5"],
      ["run-log", `/dev/digits/runs/${run}/log`],
      ["run-overview", `/dev/digits/runs/${run}/overview`],
      ["settings", "/settings"],
    ];
    const broken: string[] = [];
    for (const [look, options] of [
      ["light", {}],
      ["dark", { dark: true }],
      ["phone", { phone: true }],
    ] as const) {
      const other = await w.newPage(options);
      for (const [name, path] of screens) {
        await other.goto(`${w.url}${path}`);
        await visible(other.getByRole("heading", { level: 1 }));
        await other.waitForLoadState("load");
        await other.getByText("Loading…").first().waitFor({ state: "detached", timeout: PATIENCE });
        await shot(other, `${look}-${name}`);
        if (look !== "phone") broken.push(...(await axe(other)).map((rule) => `${look} ${name}: ${rule}`));
        const wide = await other.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) broken.push(`${look} ${name} is ${wide} pixels too wide`);
      }
      await other.context().close();
    }
    expect(broken).toEqual([]);
    // Two dozen screens in three looks, each read by axe.
  }, 30 * PATIENCE);

  test("nothing was asked of another host, and no policy was broken", () => {
    expect(w.complaints).toEqual([]);
  });
});
