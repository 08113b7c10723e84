/** A server with a past: a month of a made-up team. What people do with lists of it, and how its screens look. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axe, everyLook, PATIENCE, shot, signIn, visible, world, type World } from "./world";

let w: World;
let page: Page;

beforeAll(async () => {
  w = await world({ seed: true });
  page = w.page;
  await signIn(w);
});

afterAll(async () => {
  if (page && !page.isClosed()) await shot(page, "last-month").catch(() => undefined);
  await w?.close();
});

const ask = async <T>(path: string): Promise<T> => {
  const response = await fetch(`${w.url}/api/v1${path}`, { headers: { authorization: `Bearer ${w.key}` } });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await response.json()) as T;
};

describe("runs", () => {
  const table = () => page.getByRole("table", { name: "Runs" });

  test("a column is picked by search, stands in the address, and goes again", async () => {
    await page.goto(`${w.url}/team-a/digits?view=table`);
    await visible(table().getByRole("link").first());
    await page.getByRole("button", { name: "Columns" }).click();
    const dialog = page.getByRole("dialog", { name: "Columns" });
    await dialog.getByRole("searchbox", { name: "Search columns" }).fill("host");
    await dialog.getByRole("checkbox", { name: "host", exact: true }).check();
    await shot(page, "columns");
    expect.soft(await axe(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await visible(table().getByRole("columnheader", { name: "host" }));
    await page.reload();
    await visible(table().getByRole("columnheader", { name: "host" }));
    await page.getByRole("button", { name: "Columns" }).click();
    await dialog.getByRole("button", { name: "Reset to the default" }).click();
    await page.keyboard.press("Escape");
    await table().getByRole("columnheader", { name: "host" }).waitFor({ state: "hidden" });
  });

  test("several are tagged at once, which can be undone, and deleted, which cannot", async () => {
    const { items } = await ask<{ items: { id: string; name: string }[] }>("/entities/team-a/projects/digits/runs?state=finished&limit=2&order=-created_at");
    const tagged = async () => (await ask<{ items: unknown[] }>(`/entities/team-a/projects/digits/runs?filter=${encodeURIComponent('{"tags": "picked"}')}`)).items.length;
    await page.goto(`${w.url}/team-a/digits?view=table`);
    for (const run of items) await table().getByRole("checkbox", { name: `Select ${run.name}` }).check();
    await page.getByRole("button", { name: "2 runs selected" }).click();
    await page.getByRole("menuitem", { name: "Add a tag…" }).click();
    const dialog = page.getByRole("dialog", { name: "Add a tag" });
    await dialog.getByRole("textbox", { name: "Tag" }).fill("picked");
    await dialog.getByRole("button", { name: "Tag 2 runs" }).click();
    await visible(page.getByRole("status", { name: "Notices" }).getByText("Tagged 2 runs with picked."));
    expect(await tagged()).toBe(2);
    await page.getByRole("status", { name: "Notices" }).getByRole("button", { name: "Undo" }).click();
    await expect.poll(tagged, { timeout: PATIENCE }).toBe(0);

    const gone = items[0]!;
    await table().getByRole("checkbox", { name: `Select ${gone.name}` }).check();
    await page.getByRole("button", { name: "1 run selected" }).click();
    await page.getByRole("menuitem", { name: "Delete 1 run…" }).click();
    const confirm = page.getByRole("dialog", { name: "Delete 1 run?" });
    const button = confirm.getByRole("button", { name: "Delete 1 run" });
    expect(await button.isDisabled()).toBe(true);
    await confirm.getByRole("textbox", { name: `Type ${gone.name} to confirm` }).fill(gone.name);
    await button.click();
    await table().getByRole("link", { name: gone.name, exact: true }).waitFor({ state: "hidden", timeout: PATIENCE });
    expect((await fetch(`${w.url}/api/v1/entities/team-a/projects/digits/runs/${gone.id}`, { headers: { authorization: `Bearer ${w.key}` } })).status).toBe(404);
  });
});

test("a drag over a chart zooms all of them, and the link shows it", async () => {
  const run = (await ask<{ items: { id: string }[] }>("/entities/team-a/projects/digits/runs?state=finished&limit=1")).items[0]!.id;
  await page.goto(`${w.url}/team-a/digits/runs/${run}`);
  const chart = page.getByRole("figure", { name: "train/loss" });
  const points = async () => {
    await chart.getByRole("button", { name: "View data" }).click();
    const rows = await page.getByRole("dialog", { name: "Data of train/loss" }).getByRole("row").count();
    await page.keyboard.press("Escape");
    return rows;
  };
  await chart.scrollIntoViewIfNeeded();
  await visible(chart.locator("canvas"));
  const all = await points();
  const area = (await chart.locator(".u-over").boundingBox())!;
  const at = (part: number) => [area.x + area.width * part, area.y + area.height / 2] as const;
  await page.mouse.move(...at(0.25));
  await page.mouse.down();
  await page.mouse.move(...at(0.5), { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/zoom=/);
  await expect.poll(points, { timeout: PATIENCE }).toBeLessThan(all);
  await page.reload();
  await chart.scrollIntoViewIfNeeded();
  await visible(chart.locator("canvas"));
  expect(await points()).toBeLessThan(all);
});

test("any two versions of a job are compared", async () => {
  await page.goto(`${w.url}/team-a/digits/jobs/train-digits?tab=versions`);
  const difference = page.getByRole("region", { name: "Difference" });
  await visible(difference.getByText("+ torch==2.2.0"));
  await visible(difference.getByText("- torch==2.1.0"));
  await difference.getByRole("combobox", { name: "From" }).selectOption("v0");
  await visible(difference.getByText("- torch==2.0.0"));
  await difference.getByRole("combobox", { name: "To" }).selectOption("v0");
  await visible(difference.getByText("The same version twice."));
});

test("the entity switch filters every list", async () => {
  await page.goto(`${w.url}/launch`);
  const queues = page.getByRole("table", { name: "Queues" });
  await visible(queues.getByText("gpu", { exact: true }));
  const entity = page.getByRole("combobox", { name: "Entity" });
  await entity.selectOption("dev");
  await queues.getByText("gpu", { exact: true }).waitFor({ state: "hidden" });
  await visible(queues.getByText("default", { exact: true }));
  await entity.selectOption("");
  await visible(queues.getByText("gpu", { exact: true }));
});

describe("people", () => {
  test("a user is made, joins a team, changes the role, and leaves", async () => {
    await page.goto(`${w.url}/admin`);
    await page.getByRole("button", { name: "New user" }).click();
    const user = page.getByRole("dialog", { name: "New user" });
    await user.getByRole("textbox", { name: "Name" }).fill("newcomer");
    await user.getByRole("button", { name: "Make" }).click();
    await visible(user.getByText(/This key is shown once/));
    await user.getByRole("button", { name: "Done" }).click();
    await visible(page.getByRole("table", { name: "Users" }).getByText("newcomer"));

    // All teams of the server, not only those of the one who looks.
    await page.getByRole("tab", { name: "Teams" }).click();
    await page.getByRole("table", { name: "Teams" }).getByRole("button", { name: "team-b" }).click();
    const team = page.getByRole("region", { name: "team-b" });
    await team.getByRole("button", { name: "Add a member" }).click();
    const adding = page.getByRole("dialog", { name: "Add to a team" });
    await adding.getByRole("combobox", { name: "User name" }).fill("newcomer");
    await shot(page, "add-member");
    expect.soft(await axe(page)).toEqual([]);
    await adding.getByRole("button", { name: "Add" }).click();
    await adding.getByRole("button", { name: "Done" }).click();
    const members = team.getByRole("table", { name: "Members of team-b" });
    await visible(members.getByRole("cell", { name: "newcomer", exact: true }));
    await members.getByRole("combobox", { name: "Role of newcomer" }).selectOption("viewer");
    await visible(page.getByRole("status", { name: "Notices" }).getByText("newcomer is viewer of team-b now."));
    await members.getByRole("button", { name: "Remove newcomer" }).click();
    await page.getByRole("dialog", { name: "Remove newcomer from team-b?" }).getByRole("button", { name: "Remove 1 member" }).click();
    await members.getByRole("cell", { name: "newcomer", exact: true }).waitFor({ state: "hidden" });
    await shot(page, "admin-team");
  });

  test("the last admin of a team stays, and is told why", async () => {
    await page.goto(`${w.url}/admin?tab=teams&team=team-b`);
    const { entity } = await ask<{ entity: { members: { username: string; role: string }[] } }>("/entities/team-b");
    const admins = entity.members.filter((member) => member.role === "admin").map((member) => member.username);
    const remove = async (name: string) => {
      await page.getByRole("button", { name: `Remove ${name}` }).click();
      await page.getByRole("dialog", { name: `Remove ${name} from team-b?` }).getByRole("button", { name: "Remove 1 member" }).click();
    };
    const last = admins.pop()!;
    for (const name of admins) {
      await remove(name);
      await page.getByRole("button", { name: `Remove ${name}` }).waitFor({ state: "hidden" });
    }
    await remove(last);
    await visible(page.getByRole("alert").getByText(/is the last admin of/));
    expect(await page.getByRole("button", { name: `Remove ${last}` }).count()).toBe(1);
  });

  test("a theme that was chosen stays", async () => {
    const drawn = async () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.goto(`${w.url}/settings/appearance`);
    await page.getByRole("radio", { name: "Dark" }).check();
    expect(await drawn()).toBe("dark");
    await page.reload();
    await visible(page.getByRole("radio", { name: "Dark" }));
    expect([await drawn(), await page.getByRole("radio", { name: "Dark" }).isChecked()]).toEqual(["dark", true]);
    await page.getByRole("button", { name: "Theme" }).click();
    expect([await drawn(), await page.getByRole("radio", { name: "Light" }).isChecked()]).toEqual(["light", true]);
    await page.getByRole("radio", { name: "As the system" }).check();
    await page.emulateMedia({ colorScheme: "dark" });
    await expect.poll(drawn).toBe("dark");
    await page.emulateMedia({ colorScheme: "light" });
    await expect.poll(drawn).toBe("light");
  });
});

test("what was used is downloaded as it is shown", async () => {
  await page.goto(`${w.url}/usage`);
  const shown = page.getByRole("table", { name: "Usage" });
  await visible(shown.getByRole("row").nth(1));
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: /CSV/ }).click()]);
  const text = await new Response((await download.createReadStream()) as unknown as ReadableStream).text();
  const lines = text.trim().split("\n");
  expect(lines[0]).toMatch(/^\w+,items,wall_hours,cpu_hours,gpu_hours$/);
  expect(lines.length).toBe(await shown.getByRole("row").count());
});

test("screens of a server with a past in every look, without a complaint of axe", async () => {
  const run = (await ask<{ items: { id: string }[] }>("/entities/team-a/projects/digits/runs?state=finished&limit=1")).items[0]!.id;
  const screens: [string, string][] = [
    ["entity", "/team-a"],
    ["month-home", "/"],
    ["month-runs", "/team-a/digits"],
    ["project-artifacts", "/team-a/digits/artifacts"],
    ["job-versions", "/team-a/digits/jobs/train-digits?tab=versions"],
    ["job-files", "/team-a/digits/jobs/train-digits?tab=files"],
    ["month-run-files", `/team-a/digits/runs/${run}/files`],
    ["queue-agents", "/launch/team-a/gpu/agents"],
    ["month-items", "/launch/team-a/gpu/items"],
    ["month-monitor", "/launch/team-a/gpu/monitor"],
    ["month-usage", "/usage"],
    ["settings-teams", "/settings/teams"],
    ["settings-appearance", "/settings/appearance"],
    ["admin-teams", "/admin?tab=teams&team=team-a"],
    ["not-found", "/team-a/digits/jobs/none/such/place"],
  ];
  expect(await everyLook(w, screens)).toEqual([]);
}, 15 * PATIENCE);

test("nothing was asked of another host, and no policy was broken", () => {
  expect(w.complaints).toEqual([]);
});
