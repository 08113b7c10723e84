// @vitest-environment jsdom
import { server } from "../../testing/fake-server";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { itemQuery, meQuery } from "../../api/queries";
import { useAddress } from "../../app/address";
import { Notices } from "../../components/notice";
import { putItem } from "./item-address";
import { ItemDrawer } from "./item-drawer";

// The log has tests of its own; here it says which one it is.
vi.mock("../../components/log", () => ({
  Log: ({ path, onLink }: { path: string; onLink: (hash: string) => void }) => (
    <button type="button" onClick={() => onLink("#L7")}>
      {path}
    </button>
  ),
}));

afterEach(() => {
  cleanup();
  server.clear();
});

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
const phase = (name: string, from: number, to: number) => ({ name, started_at: at(from), ended_at: at(to) });
const failed = {
  id: "item-1",
  entity: "dev",
  queue: "default",
  project: "digits",
  author: "user-1",
  state: "failed",
  phase: "build",
  attempt: 2,
  max_attempts: 3,
  attempts: [
    { number: 1, state: "failed", phases: [phase("fetch", 1, 2), phase("build", 2, 5), phase("run", 5, 9)], leased_at: at(1), reason: { code: "exit", help: "LZ0001", message: "It ended with 1." } },
    { number: 2, state: "failed", phases: [phase("fetch", 11, 12), phase("build", 12, 15)], leased_at: at(11) },
  ],
  job: "dev/digits/train:v3",
  name: null,
  run: "abcd1234",
  runs: ["abcd1234"],
  created_at: at(0),
  leased_at: at(11),
  ended_at: at(15),
  exit_code: 1,
  reason: { code: "build_failed", help: "LZ0142", message: "No such package.", hint: "Mend requirements.txt." },
  why: null,
  warnings: [],
  unreachable: false,
  priority: "medium",
  target: "process",
  inputs: { lr: 0.1 },
  overrides: {},
  template_variables: {},
  config: { item: {}, queue: {}, effective: { env: { A: "1" } } },
  resources: {},
};

function Page({ ids }: { ids: string[] }) {
  const [params, change] = useAddress();
  const open = params.get("item");
  return <>{open && <ItemDrawer id={open} ids={ids} onShow={(id) => change((next) => putItem(next, id))} />}</>;
}

function open(address: string, who: object = { username: "user-1", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] }) {
  window.history.replaceState(null, "", address);
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, refetchInterval: false, retry: false } } });
  queries.setQueryData(meQuery.queryKey, who as never);
  queries.setQueryData(itemQuery("item-1").queryKey, failed as never);
  queries.setQueryData(itemQuery("item-2").queryKey, { ...failed, id: "item-2", state: "queued", phase: null, attempt: 0, attempts: [], run: null, runs: [], reason: null, leased_at: null, ended_at: null, exit_code: null, why: { rule: "no_agent", message: "No agent polls the queue.", position: 2, ahead: 1 } } as never);
  queries.setQueryData(itemQuery("item-3").queryKey, { ...failed, id: "item-3", state: "stopped", phase: null, attempt: 0, attempts: [], run: null, runs: [], leased_at: null, exit_code: null, reason: { code: "stopped", help: "", message: "stopped by ana" } } as never);
  const router = createBrowserRouter([{ path: "/items", element: <Page ids={["item-1", "item-2"]} /> }, { path: "*", element: null }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
      <Notices />
    </QueryClientProvider>,
  );
  return router;
}

const here = () => `${window.location.search}${window.location.hash}`;

test("a failed item says why, what to do, and shows the log of the phase that failed", async () => {
  const router = open("/items?item=item-1");
  const drawer = await screen.findByRole("dialog", { name: "Item item-1" });
  const cause = within(drawer).getByRole("status", { name: "Cause" });
  expect(cause.textContent).toContain("LZ0142");
  expect(cause.textContent).toContain("Mend requirements.txt.");
  expect(within(drawer).getByRole("button", { name: "/api/v1/items/item-1/logs?attempt=2&phase=build" })).toBeTruthy();
  expect(within(drawer).getByRole("link", { name: "Open the run" }).getAttribute("href")).toBe("/dev/digits/runs/abcd1234");
  expect(within(drawer).getByRole<HTMLButtonElement>("button", { name: "Stop" }).disabled).toBe(true);
  expect(within(drawer).getByRole<HTMLButtonElement>("button", { name: "Retry" }).disabled).toBe(false);
  router.dispose();
});

test("the attempt and the phase one looks at are in the address, and a link to a line names its log", async () => {
  const router = open("/items?item=item-1");
  await screen.findByRole("dialog");
  fireEvent.click(screen.getByRole("button", { name: "Earlier attempt" }));
  expect(screen.getByRole("button", { name: "/api/v1/items/item-1/logs?attempt=1&phase=run" })).toBeTruthy();
  await expect.poll(here).toBe("?item=item-1&attempt=1");
  fireEvent.click(screen.getByRole("button", { name: /^fetch/ }));
  await expect.poll(here).toBe("?item=item-1&attempt=1&phase=fetch");
  fireEvent.click(screen.getByRole("button", { name: "/api/v1/items/item-1/logs?attempt=1&phase=fetch" }));
  await expect.poll(here).toBe("?item=item-1&attempt=1&phase=fetch#L7");
  router.dispose();
});

test("a line of the log that opened by itself is linked with its attempt and phase", async () => {
  const router = open("/items?item=item-1");
  fireEvent.click(await screen.findByRole("button", { name: "/api/v1/items/item-1/logs?attempt=2&phase=build" }));
  await expect.poll(here).toBe("?item=item-1&attempt=2&phase=build#L7");
  router.dispose();
});

test("a link opens the attempt and the phase that it names", async () => {
  const router = open("/items?item=item-1&attempt=1&phase=build#L7");
  expect(await screen.findByRole("button", { name: "/api/v1/items/item-1/logs?attempt=1&phase=build" })).toBeTruthy();
  expect(here()).toBe("?item=item-1&attempt=1&phase=build#L7");
  router.dispose();
});

test("arrows go to the neighbours, whose own place counts; Esc closes", async () => {
  const router = open("/items?item=item-1&attempt=1&phase=fetch");
  fireEvent.keyDown(await screen.findByRole("dialog"), { key: "ArrowDown" });
  const waits = await screen.findByRole("status", { name: "Why it waits" });
  expect(waits.textContent).toContain("Place 2 in the queue, 1 ahead");
  await expect.poll(here).toBe("?item=item-2");
  await act(async () => Promise.resolve(fireEvent.keyDown(screen.getByRole("dialog"), { key: "k" })));
  await expect.poll(here).toBe("?item=item-1");
  fireEvent(screen.getByRole("dialog"), new Event("cancel", { cancelable: true }));
  await expect.poll(here).toBe("");
  expect(screen.queryByRole("dialog")).toBeNull();
  router.dispose();
});

test("members stop what is theirs, viewers and keys that only read stop nothing", async () => {
  const stop = async (username: string, role: string, scope = "full") => {
    const router = open("/items?item=item-2", { username, admin: false, entity: username, scope, entities: [{ name: "dev", kind: "team", role }] });
    await screen.findByRole("dialog");
    const button = screen.queryByRole<HTMLButtonElement>("button", { name: "Stop" });
    const found = button && [button.disabled, button.title];
    cleanup();
    router.dispose();
    return found;
  };
  expect(await stop("user-1", "member")).toEqual([false, ""]);
  expect(await stop("another", "admin")).toEqual([false, ""]);
  expect(await stop("another", "member")).toEqual([true, "Only user-1 and admins of dev stop it."]);
  expect(await stop("user-1", "viewer")).toBeNull();
  expect(await stop("user-1", "admin", "read")).toBeNull();
});

test("a waiting item has a log that says when it begins, one that nobody took has none", async () => {
  const router = open("/items?item=item-2");
  expect((await screen.findByRole("log", { name: "Log" })).textContent).toBe("Its log begins when an agent takes it.");
  await act(async () => router.navigate("/items?item=item-3"));
  expect((await screen.findByRole("log", { name: "Log" })).textContent).toBe("No agent took it: there is no log.");
  router.dispose();
});

test("a waiting item that is stopped can be put back, and is shown in its new place", async () => {
  server.on("POST /items/item-2/stop", { item: { ...failed, id: "item-2", state: "stopped" } });
  server.on("POST /items/item-2/retry", { item: { ...failed, id: "item-1" } });
  const router = open("/items?item=item-2");
  await screen.findByRole("dialog", { name: "Item item-2" });
  fireEvent.click(screen.getByRole("button", { name: "Stop" }));
  fireEvent.click(await screen.findByRole("button", { name: "Undo" }));
  await expect.poll(here).toBe("?item=item-1");
  expect(server.sent.map((one) => one.path)).toEqual(["/items/item-2/stop", "/items/item-2/retry"]);
  router.dispose();
});
