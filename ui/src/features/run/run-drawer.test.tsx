// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen, within } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { itemQuery, meQuery, runJobQuery, runQuery } from "../../api/queries";
import type { Run } from "../../api/types";
import { RunActions } from "./run-actions";
import { RunDrawer } from "./run-drawer";

// Its course is drawn from the history, which has tests of its own.
vi.mock("../../components/sparkline", () => ({ Sparkline: () => null }));

afterEach(cleanup);

test("a run that failed says how it went, with which numbers, and why", async () => {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, refetchInterval: false, retry: false } } });
  const set = (query: { queryKey: readonly unknown[] }, data: unknown) => queries.setQueryData(query.queryKey, data);
  const summary = { _step: 9, ...Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`layer/metric_${index}`, index])), "val/accuracy": 0.98765 };
  set(meQuery, { username: "dev", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "member" }] });
  set(runQuery("dev", "p", "abcd1234"), {
    id: "abcd1234",
    entity: "dev",
    project: "p",
    name: "calm-sea",
    author: "user-1",
    state: "failed",
    exit_code: 1,
    created_at: "2026-01-01T00:00:00Z",
    ended_at: "2026-01-01T00:01:04Z",
    config: { lr: 0.1, model: { width: 8 }, _wandb: {} },
    summary,
    tags: ["baseline"],
    notes: "",
    job: "dev/p/train:v3",
    item: "item-1",
    history_rows: 10,
  });
  set(runJobQuery("dev", "p", "abcd1234"), { job: "dev/p/train:v3" });
  set(itemQuery("item-1"), { id: "item-1", entity: "dev", queue: "default", state: "failed", reason: { code: "exit", help: "LZ0001", message: "It ended with 1.", hint: "Look at its log." } });
  render(
    <QueryClientProvider client={queries}>
      <MemoryRouter>
        <RunDrawer name={{ entity: "dev", project: "p", run: "abcd1234" }} id="abcd1234" ids={["abcd1234"]} onShow={() => undefined} />
      </MemoryRouter>
    </QueryClientProvider>,
  );
  const drawer = await screen.findByRole("dialog", { name: "Run abcd1234" });
  expect(within(drawer).getByRole("link", { name: "calm-sea" }).getAttribute("href")).toBe("/dev/p/runs/abcd1234");
  expect(drawer.textContent).toContain("1m 04s");
  expect(within(drawer).getByRole("status", { name: "Cause" }).textContent).toContain("It ended with 1.");
  expect(within(drawer).getByRole("link", { name: "Its item" }).getAttribute("href")).toBe("/launch/dev/default/items?item=item-1");
  // The telling number first, and not all of twenty.
  const results = within(drawer).getByRole("region", { name: "Results" });
  expect(results.querySelectorAll("dt")[0]!.textContent).toBe("val/accuracy");
  expect(results.textContent).toContain("0.9877");
  expect(results.textContent).toContain("12 of 21");
  expect(within(drawer).getByRole("region", { name: "Settings" }).textContent).toContain("model.width8");
  expect(within(drawer).getByRole<HTMLButtonElement>("button", { name: "Launch again" }).disabled).toBe(false);
});

test("a run that was asked to stop says so, and why it cannot be launched again", async () => {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, refetchInterval: false, retry: false } } });
  const set = (query: { queryKey: readonly unknown[] }, data: unknown) => queries.setQueryData(query.queryKey, data);
  set(meQuery, { username: "dev", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "member" }] });
  set(runJobQuery("dev", "p", "abcd1234"), { job: null, why: "it logged no code" });
  const run = { id: "abcd1234", entity: "dev", project: "p", name: "calm-sea", state: "running", config: {}, job: null, stop_requested: true } as unknown as Run;
  render(
    <QueryClientProvider client={queries}>
      <MemoryRouter>
        <RunActions run={run} />
      </MemoryRouter>
    </QueryClientProvider>,
  );
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Stopping…" }).disabled).toBe(true);
  const again = screen.getByRole<HTMLButtonElement>("button", { name: "Launch again" });
  expect([again.disabled, document.getElementById(again.getAttribute("aria-describedby")!)!.textContent]).toEqual([true, "it logged no code"]);
});
