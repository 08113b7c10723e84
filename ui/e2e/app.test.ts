import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axe, everyLook, PATIENCE, shot, source, visible, world, type World } from "./world";

const script = `
import sys, time
import wandb

with wandb.init(config={"lr": 0.1, "epochs": 3, "model": {"width": 8}}) as run:
    for step in range(int(run.config["epochs"]) * 10):
        run.log({"train/loss": 1 / (1 + step * run.config["lr"]), "accuracy": step / 100})
        # One that is there to be watched takes its time, as a real one does.
        time.sleep(0.02 if run.config["epochs"] > 100 else 0)
    print("\\x1b[32mgreen words\\x1b[0m and plain ones")
    print("width", run.config["model"]["width"])
    if run.config["lr"] > 0.5:
        sys.exit("the rate is too high")
    time.sleep(1)
`;
/** A run that a person started, with a page that would take more than it is given. */
const byHandScript = `
import wandb

with wandb.init(project="by-hand", config={"rate": 0.5}) as run:
    page = "<h1>a page of a run</h1><script>top.document.title = 'taken'</script>"
    run.log({"loss": 1.0, "page": wandb.Html(page)})
    run.log_code(root=".")
    weights = wandb.Artifact("weights", type="model", description="made by hand", metadata={"rate": 0.5})
    weights.add_file("by_hand.py")
    run.log_artifact(weights)
    print(run.id)
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
/** The id of the run that a person started, once there is one. */
let byHand = "";

beforeAll(async () => {
  w = await world();
  page = w.page;
});

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last").catch(() => undefined);
  await w?.close();
});

describe("from sign-in to charts", () => {
  test("a wrong key is refused, a right one leads to where one wanted to go", async () => {
    await page.goto(`${w.url}/launch`);
    await page.waitForURL(/\/login\?next=/);
    expect.soft(await everyLook(w, [["login", "/login"]])).toEqual([]);
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
    await visible(page.getByRole("listitem", { name: "Log in: done" }));
    await visible(page.getByRole("listitem", { name: "Make a job: to do" }));
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
    await page.goto(`${w.url}/`);
    await visible(page.getByRole("listitem", { name: "Make a job: to do" }));
    await w.lanza("job", "create", "code", join(folder, "train.py"), "-p", "digits", "-n", "train-digits", "--schema", join(w.folder, "schema.json"));
    // The page that is open sees it happen.
    await visible(page.getByRole("listitem", { name: "Make a job: done" }));
    expect(await page.getByRole("listitem", { name: "Track a run: to do" }).count()).toBe(1);
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

  test("it is launched again with its inputs, stopped by command, and retried", async () => {
    await page.getByRole("button", { name: "Launch again" }).click();
    const form = page.getByRole("dialog", { name: "Launch train-digits" });
    const epochs = form.getByRole("textbox", { name: "epochs" });
    await expect.poll(async () => epochs.inputValue(), { timeout: PATIENCE }).toBe("100000");
    // The config of any run of the project may be pasted.
    await form.getByRole("button", { name: "Paste from…" }).click();
    const paste = page.getByRole("dialog", { name: "Paste from" });
    await paste.getByRole("searchbox").fill("lr=0.25");
    await shot(page, "launch-paste");
    const found = paste.getByRole("region", { name: "Runs of dev/digits" }).getByRole("button");
    await expect.poll(async () => found.count(), { timeout: PATIENCE }).toBe(1);
    await found.click();
    await paste.waitFor({ state: "hidden" });
    await expect.poll(async () => form.getByRole("textbox", { name: "lr" }).inputValue(), { timeout: PATIENCE }).toBe("0.25");
    await epochs.fill("100000");
    await form.getByRole("button", { name: /^Launch/ }).click();
    await page.waitForURL(/item=/);
    const shown = () => new URL(page.url()).searchParams.get("item")!;
    const first = shown();
    const item = page.getByRole("dialog", { name: `Item ${first}` });
    await visible(item.locator('[data-state="running"]').first(), 3 * PATIENCE);
    await page.keyboard.press("Control+k");
    await page.keyboard.type("stop this");
    await page.getByRole("dialog", { name: "Commands" }).getByRole("option", { name: "Stop this item" }).click();
    await page.getByRole("dialog", { name: "Stop this item?" }).getByRole("button", { name: "Stop 1 running item" }).click();
    await visible(item.locator('[data-state="stopped"]').first(), 2 * PATIENCE);
    await item.getByRole("button", { name: "Retry", exact: true }).click();
    await expect.poll(shown, { timeout: PATIENCE }).not.toBe(first);
    const second = shown();
    await visible(page.getByRole("dialog", { name: `Item ${second}` }));
    await w.lanza("item", "stop", second);
    await visible(page.getByRole("dialog", { name: `Item ${second}` }).locator('[data-state="stopped"]').first(), 2 * PATIENCE);
    await page.keyboard.press("Escape");
  });

  test("a run that no job started keeps its page in a sandbox, and becomes a job", async () => {
    // Only the real client logs code.
    if (!w.python) return;
    const folder = join(w.folder, "by-hand");
    mkdirSync(folder);
    writeFileSync(join(folder, "by_hand.py"), byHandScript);
    const said = await w.python(`import subprocess, sys; print(subprocess.run([sys.executable, "by_hand.py"], cwd=${JSON.stringify(folder)}, check=True, stdout=subprocess.PIPE, text=True).stdout)`);
    byHand = said.trim().split("\n").at(-1)!;
    await page.goto(`${w.url}/dev/by-hand/runs/${byHand}/files`);
    await page.getByRole("table", { name: "Files" }).getByRole("button", { name: /\.html$/ }).click();
    const frame = page.locator("iframe");
    await visible(frame);
    expect(await frame.getAttribute("sandbox")).toBe("");
    await visible(frame.contentFrame().getByRole("heading", { name: "a page of a run" }));
    await shot(page, "run-file-html");
    expect(await page.title()).not.toContain("taken");
    // The browser says that it kept a script from running and a style sheet of the client's vendor from being fetched; these
    // complaints are wanted.
    const blocked = w.complaints.filter((text) => /Blocked script execution|violates the following Content Security Policy/.test(text));
    expect(blocked.length).toBeGreaterThan(0);
    blocked.forEach((text) => w.complaints.splice(w.complaints.indexOf(text), 1));
    await page.keyboard.press("Escape");
    await page.getByRole("tab", { name: "Artifacts" }).click();
    await visible(page.getByRole("table", { name: "Artifacts" }).getByRole("link", { name: "weights" }));

    await page.getByRole("button", { name: "Make a job" }).click();
    const dialog = page.getByRole("dialog", { name: "Make a job" });
    await dialog.getByRole("textbox", { name: "Name" }).fill("from-hand");
    await dialog.getByRole("combobox", { name: "Source" }).selectOption("code");
    await shot(page, "make-a-job");
    expect.soft(await axe(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Make", exact: true }).click();
    await page.waitForURL(`${w.url}/dev/by-hand/jobs/from-hand`);
    await page.getByRole("tab", { name: "Files" }).click();
    await visible(page.getByRole("table", { name: "Files" }).getByRole("link", { name: "by_hand.py" }));
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
    // A key that the target does not know is told before anything is made.
    await dialog.getByRole("textbox", { name: "Configuration" }).fill('{"memmory": "1g"}');
    await dialog.getByRole("button", { name: "Parse configuration" }).click();
    await visible(dialog.getByRole("status", { name: "About the configuration" }).getByText(/did you mean `memory`/));
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
    const agents = page.getByRole("table", { name: "Agents" });
    const alert = page.getByRole("alert");
    // What is killed cannot say so. Its silence takes a minute to be seen: a test further down looks.
    await w.lanza("queue", "create", "silent", "--target", "process");
    const silent = w.start("agent", "-q", "silent", "--state", join(w.folder, "silent"));
    await page.goto(`${w.url}/launch/dev/silent/agents`);
    await visible(agents.getByText("Polling"));
    silent.kill("SIGKILL");

    await w.lanza("queue", "create", "second", "--target", "process");
    await page.goto(`${w.url}/launch/dev/second/agents`);
    await visible(alert);
    const start = () => w.start("agent", "-q", "second", "--state", join(w.folder, "agent"));
    const agent = start();
    await alert.waitFor({ state: "hidden", timeout: PATIENCE });
    await visible(agents.getByText("Polling"));
    agent.kill("SIGTERM");
    await visible(alert);
    await visible(agents.getByText("Killed"));
    // The same state folder is the same agent.
    start();
    await alert.waitFor({ state: "hidden", timeout: PATIENCE });
    await visible(agents.getByText("Polling"));
    expect(await agents.getByRole("row").count()).toBe(2);

    await agents.getByText("Polling").click();
    await page.getByRole("dialog", { name: /^Agent / }).getByRole("button", { name: "Drain" }).click();
    const asked = page.getByRole("dialog", { name: "Drain this agent?" });
    await shot(page, "agent-drain");
    await asked.getByRole("button", { name: "Drain" }).click();
    // It has nothing to finish, so it ends.
    await visible(page.getByRole("dialog", { name: /^Agent / }).getByText("Killed"));
    await page.keyboard.press("Escape");
    await visible(alert);
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
    // One that only reads says so in the list, and launches nothing.
    await page.getByRole("button", { name: "New key" }).click();
    const form = page.getByRole("dialog", { name: "New key" });
    await form.getByLabel("Description").fill("a dashboard");
    await form.getByLabel("May").selectOption({ label: "Read only" });
    await form.getByRole("button", { name: "Make" }).click();
    const secret = await form.locator("code, pre").filter({ hasText: /^\w{40}$/ }).innerText();
    await form.getByRole("button", { name: "Done" }).click();
    const made = page.getByRole("table", { name: "API keys" }).getByRole("row").filter({ hasText: "a dashboard" });
    await visible(made.filter({ hasText: "read only" }));
    const asked = await fetch(`${w.url}/api/v1/me/keys`, { method: "POST", headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" }, body: "{}" });
    expect([asked.status, ((await asked.json()) as { code: string }).code]).toEqual([403, "read_only_key"]);
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
      ["authorize", "/authorize"],
    ];
    if (byHand) screens.push(["run-artifacts", `/dev/by-hand/runs/${byHand}/artifacts`], ["run-files", `/dev/by-hand/runs/${byHand}/files`], ["artifact", "/dev/by-hand/artifacts/model/weights"]);
    expect(await everyLook(w, screens)).toEqual([]);
    // Two dozen screens in three looks, each read by axe.
  }, 30 * PATIENCE);

  test("an agent that was killed is silent, and one that takes its place is not", async () => {
    const agents = page.getByRole("table", { name: "Agents" });
    const alert = page.getByRole("alert");
    await page.goto(`${w.url}/launch/dev/silent/agents`);
    await visible(agents.getByText("Not polling"), 2 * PATIENCE);
    await visible(alert.getByRole("button", { name: "Copy command" }));
    w.start("agent", "-q", "silent", "--state", join(w.folder, "silent"));
    await alert.waitFor({ state: "hidden", timeout: PATIENCE });
    await visible(agents.getByText("Polling", { exact: true }));
  });

  test("nothing was asked of another host, and no policy was broken", () => {
    expect(w.complaints).toEqual([]);
  });
});
