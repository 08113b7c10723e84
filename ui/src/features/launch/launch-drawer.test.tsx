// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { itemsQuery, jobQuery, jobsQuery, jobVersionQuery, jobVersionsQuery, meQuery, projectsQuery, queuesQuery, queueStatsQuery } from "../../api/queries";
import { LaunchDrawer, type LaunchProps, versionedJob } from "./launch-drawer";

afterEach(cleanup);

const schema = (keys: object) => ({ type: "object", properties: keys });
const version = (name: string, aliases: string[], keys: object) => ({
  id: name,
  version: name,
  reference: `dev/digits/train:${name}`,
  aliases,
  source_type: "code",
  source: {},
  entrypoint: ["python", "train.py"],
  requirements: [],
  inputs: { from: "schema", config: schema(keys), files: {} },
});
const v3 = version("v3", ["latest"], { lr: { type: "number", minimum: 0, maximum: 1, default: 0.1, description: "rate" }, epochs: { type: "integer", default: 3 } });
const v2 = version("v2", [], { lr: { type: "number", default: 0.5 } });
const queue = {
  id: "q",
  entity: "dev",
  name: "default",
  target: "process",
  agents: [{ id: "a", name: "a", status: "polling" }],
  counts: { queued: 2 },
  policy: {},
  templates: {},
  priority: true,
  config: {},
};

function open(props: Partial<LaunchProps> = {}) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, refetchInterval: false, retry: false } } });
  const set = (query: { queryKey: readonly unknown[] }, data: unknown) => queries.setQueryData(query.queryKey, data);
  const job = { entity: "dev", project: "digits", name: "train", versions: 2, latest: v3 };
  set(meQuery, { username: "dev", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] });
  set(jobQuery("dev", "digits", "train"), job);
  set(jobVersionsQuery("dev", "digits", "train"), [v3, v2]);
  for (const one of ["latest", "v3"]) set(jobVersionQuery("dev", "digits", "train", one), v3);
  set(jobVersionQuery("dev", "digits", "train", "v2"), v2);
  set(projectsQuery("dev"), [{ id: "p", entity: "dev", name: "digits", runs: 1 }]);
  set(jobsQuery("dev", "digits"), [job]);
  set(queuesQuery(["dev"]), [queue]);
  set(queueStatsQuery("dev", "default", "7d"), { waiting: { p50_ms: 2_000 } });
  set(itemsQuery({ job: "dev/digits/train" }, 20), { pages: [{ items: [], next: null }], pageParams: [""] });
  const said = { onClose: vi.fn(), onVersion: vi.fn(), onJob: vi.fn() };
  render(
    <QueryClientProvider client={queries}>
      <MemoryRouter>
        <LaunchDrawer job="dev/digits/train:latest" {...said} {...props} />
      </MemoryRouter>
    </QueryClientProvider>,
  );
  return said;
}

test("the form has a field for each input, and the queue says what a launch meets", async () => {
  open();
  const drawer = await screen.findByRole("dialog", { name: "Launch train" });
  expect(within(drawer).getByRole<HTMLInputElement>("textbox", { name: "lr" }).value).toBe("0.1");
  expect(within(drawer).getByRole<HTMLInputElement>("textbox", { name: "epochs" }).value).toBe("3");
  expect(within(drawer).getByRole<HTMLSelectElement>("combobox", { name: "Queue" }).value).toBe("dev/default");
  expect(drawer.textContent).toContain("2 waiting · 1 agent polling");
  expect(drawer.textContent).toContain("starts in ≈ 2.0s");
});

test("a value of the wrong kind is refused at its field, and nothing is sent", async () => {
  const asked = vi.spyOn(globalThis, "fetch");
  open();
  const lr = await screen.findByRole("textbox", { name: "lr" });
  fireEvent.change(lr, { target: { value: "fast" } });
  fireEvent.click(screen.getByRole("button", { name: /^Launch/ }));
  const said = lr.getAttribute("aria-describedby")!.split(" ").map((id) => document.getElementById(id)?.textContent);
  expect(lr.getAttribute("aria-invalid")).toBe("true");
  expect(said[0]).toMatch(/number/);
  expect(asked.mock.calls.filter(([request]) => request instanceof Request && request.method === "POST")).toEqual([]);
  asked.mockRestore();
});

test("another version keeps what was typed, and is told to the address", async () => {
  const { onVersion, onJob } = open();
  fireEvent.change(await screen.findByRole("textbox", { name: "lr" }), { target: { value: "0.7" } });
  fireEvent.change(screen.getByRole("combobox", { name: "Version" }), { target: { value: "v2" } });
  await expect.poll(() => screen.queryByRole("textbox", { name: "epochs" })).toBeNull();
  expect(screen.getByRole<HTMLInputElement>("textbox", { name: "lr" }).value).toBe("0.7");
  expect([onVersion.mock.calls, onJob.mock.calls]).toEqual([[["v2"]], [["dev/digits/train:v2"]]]);
});

test("another version keeps the queue, the name and the rest, and what was typed as JSON", async () => {
  open();
  const type = (name: string | RegExp, value: string) => fireEvent.change(screen.getByLabelText(name), { target: { value } });
  await screen.findByRole("textbox", { name: "lr" });
  type("Run name", "try 1");
  type("Priority", "high");
  type("Project", "other");
  type("Arguments", "--fast");
  fireEvent.click(screen.getByRole("button", { name: "JSON" }));
  type("All inputs", '{"lr": 0.3, "more": 1}');
  type("Version", "v2");
  await expect.poll(() => screen.getByRole<HTMLSelectElement>("combobox", { name: "Version" }).value).toBe("v2");
  expect(["Run name", "Priority", "Project", "Arguments", "All inputs"].map((name) => screen.getByLabelText<HTMLInputElement>(name).value)).toEqual(["try 1", "high", "other", "--fast", '{"lr": 0.3, "more": 1}']);
  fireEvent.click(screen.getByRole("button", { name: "Form" }));
  expect(screen.getByRole<HTMLInputElement>("textbox", { name: "lr" }).value).toBe("0.3");
});

test("a launch whose answer was lost is sent again as the same one; a changed one is another", async () => {
  const bodies: { idempotency_key: string; overrides: object }[] = [];
  const asked = vi.spyOn(globalThis, "fetch").mockImplementation(async (request) => {
    bodies.push(JSON.parse(await (request as Request).text()) as (typeof bodies)[number]);
    throw new TypeError("Failed to fetch");
  });
  open();
  const lr = await screen.findByRole("textbox", { name: "lr" });
  fireEvent.click(screen.getByRole("button", { name: /^Launch/ }));
  fireEvent.click(await screen.findByRole("button", { name: "Retry" }));
  await expect.poll(() => bodies.length).toBe(2);
  await screen.findByRole("alert");
  fireEvent.change(lr, { target: { value: "0.7" } });
  fireEvent.click(screen.getByRole("button", { name: /^Launch/ }));
  await expect.poll(() => bodies.length).toBe(3);
  const [first, again, other] = bodies.map((body) => body.idempotency_key);
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(again).toBe(first);
  expect(other).not.toBe(first);
  // The schema's own values are sent: the script need not know them.
  expect(bodies[2]!.overrides).toEqual({ run_config: { lr: 0.7, epochs: 3 } });
  asked.mockRestore();
});

test("a form with something in it is not closed by a slip", async () => {
  const { onClose } = open();
  const lr = await screen.findByRole("textbox", { name: "lr" });
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(onClose).toHaveBeenCalledTimes(1);
  fireEvent.change(lr, { target: { value: "0.7" } });
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(onClose).toHaveBeenCalledTimes(1);
  fireEvent.click(screen.getByRole("button", { name: "Leave", hidden: true }));
  expect(onClose).toHaveBeenCalledTimes(2);
});

test("without a job one chooses it, which is told to the address", async () => {
  const { onJob } = open({ job: null, queue: { entity: "dev", name: "default" } });
  fireEvent.click(await screen.findByRole("button", { name: /train/ }));
  expect(await screen.findByRole("dialog", { name: "Launch train" })).toBeTruthy();
  expect(onJob.mock.calls).toEqual([["dev/digits/train:latest"]]);
});

test("inputs of a run are what the form begins with", async () => {
  open({ inputs: { lr: 0.9 } });
  expect((await screen.findByRole<HTMLInputElement>("textbox", { name: "lr" })).value).toBe("0.9");
});

test("an address names a version of a job", () => {
  expect(versionedJob("dev/digits/train:latest", "v2")).toBe("dev/digits/train:v2");
  expect(versionedJob("dev/digits/train:v7", "same")).toBe("dev/digits/train:v7");
  expect(versionedJob(null, "v2")).toBeNull();
});
