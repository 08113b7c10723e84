// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { firstRunsQuery, runGroupsQuery } from "../../api/queries";
import type { Run, RunGroup } from "../../api/types";
import { sweepPage, tried, valuesLine } from "./sweep-drawer";
import { Sweeps } from "./sweeps";

afterEach(cleanup);

const run = (id: string, lr: number, accuracy: number, config: object = {}) =>
  ({ id, entity: "dev", project: "p", name: `name of ${id}`, author: "ana", state: "finished", created_at: "2026-01-01T00:00:00Z", ended_at: "2026-01-01T00:01:00Z", config: { lr, batch: 8, _wandb: id, ...config }, summary: { _step: 1, accuracy } }) as unknown as Run;
const group = (name: string | null, runs: number) => ({ values: [name], runs, states: { finished: runs }, metrics: {} }) as unknown as RunGroup;

function open(groups: RunGroup[]) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  const runs = (which: { order: string; filter: string }, limit: number, list: Run[]) => queries.setQueryData(firstRunsQuery("dev", "p", which, limit).queryKey, list as never);
  queries.setQueryData(runGroupsQuery("dev", "p", ["sweep"], [], '{"sweep":{"$exists":true}}').queryKey, groups);
  for (const sweep of ["first", "second"]) {
    const filter = JSON.stringify({ sweep });
    const known = `{"$and":[${filter},{"summary_metrics.accuracy":{"$exists":true}}]}`;
    const [best, worst] = [run(`${sweep}-best`, 0.1, 0.98765), run(`${sweep}-worst`, 0.3, 0.5)];
    runs({ order: "-created_at", filter }, 20, [worst, best]);
    runs({ order: "+created_at", filter }, 1, [best]);
    runs({ order: "-summary_metrics.accuracy", filter: known }, 1, [best]);
    runs({ order: "+summary_metrics.accuracy", filter: known }, 1, [worst]);
  }
  window.history.replaceState(null, "", "/dev/p/sweeps");
  const router = createBrowserRouter([{ path: "/dev/p/sweeps", element: <Sweeps entity="dev" project="p" /> }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return router;
}
const fact = (drawer: HTMLElement, name: string) => within(drawer).getByText(name, { selector: "dt" }).nextElementSibling!;

test("a click on a sweep opens its drawer: runs, parameters, and the runs at both ends", async () => {
  const router = open([group("first", 2), group("second", 40)]);
  fireEvent.click(screen.getByRole("cell", { name: "2" }));
  let drawer = await screen.findByRole("dialog", { name: "Sweep first" });
  expect(window.location.search).toBe("?sweep=first");
  expect(fact(drawer, "Runs").textContent).toBe("2");
  expect(fact(drawer, "Greatest accuracy").textContent).toContain("0.9877");
  expect(within(fact(drawer, "Greatest accuracy") as HTMLElement).getByRole("link").getAttribute("href")).toBe("/dev/p/runs/first-best");
  expect(within(fact(drawer, "Least accuracy") as HTMLElement).getByRole("link").getAttribute("href")).toBe("/dev/p/runs/first-worst");
  // What is the same for all, and what the client keeps for itself, was not tried.
  const parameters = within(drawer).getByRole("region", { name: "Parameters" });
  expect([...parameters.querySelectorAll("dt")].map((key) => key.textContent)).toEqual(["lr"]);
  expect(parameters.textContent).toContain("0.1, 0.3");
  expect(parameters.textContent).not.toContain("newest");
  fireEvent.keyDown(drawer, { key: "ArrowDown" });
  drawer = await screen.findByRole("dialog", { name: "Sweep second" });
  // It has more runs than were read, and says so.
  expect(within(drawer).getByRole("region", { name: "Parameters" }).textContent).toContain("As the newest 2 runs have them.");
  expect(within(drawer).getByRole("link", { name: "second" }).getAttribute("href")).toBe("/dev/p?f=sweep%3Dsecond");
  fireEvent(drawer, new Event("cancel", { cancelable: true }));
  await expect.poll(() => screen.queryByRole("dialog")).toBeNull();
  expect(window.location.search).toBe("");
  router.dispose();
});

test("sweeps are filtered, and the drawer goes to what is left", async () => {
  const router = open([group("first", 2), group("second", 40), group("third", 50)]);
  fireEvent.change(screen.getByRole("combobox", { name: "Filter sweeps" }), { target: { value: "runs<50" } });
  fireEvent.keyDown(screen.getByRole("combobox", { name: "Filter sweeps" }), { key: "Enter" });
  await expect.poll(() => within(screen.getByRole("table", { name: "Sweeps" })).getAllByRole("link").map((link) => link.textContent)).toEqual(["first", "second"]);
  fireEvent.click(screen.getByRole("cell", { name: "40" }));
  fireEvent.keyDown(await screen.findByRole("dialog", { name: "Sweep second" }), { key: "ArrowDown" });
  fireEvent.keyDown(screen.getByRole("dialog", { name: "Sweep second" }), { key: "ArrowUp" });
  await screen.findByRole("dialog", { name: "Sweep first" });
  router.dispose();
});

test("without a sweep the list says how a run belongs to one", async () => {
  const router = open([group(null, 3)]);
  await screen.findByText("WANDB_SWEEP_ID");
  router.dispose();
});

test("settings that differ are told with their values", () => {
  expect(tried([run("a", 0.1, 0), run("b", 0.1, 1)])).toEqual([]);
  expect(tried([run("a", 0.3, 0, { model: { kind: "b" } }), run("b", 0.1, 1, { model: { kind: "a" } }), run("c", 0.1, 1)])).toEqual([
    { key: "lr", values: [0.1, 0.3] },
    { key: "model.kind", values: ["a", "b"] },
  ]);
  expect(valuesLine([1, 2, 3, 4, 5, 6, 7])).toBe("1 … 7, 7 values");
  expect(valuesLine([..."abcdefgh"])).toBe('a, b, c, d, e, f and 2 more');
});

test("a sweep whose name reads as a number is looked for as a text", () => {
  expect(sweepPage("dev", "p", "12345678")).toBe(`/dev/p?f=${encodeURIComponent('sweep="12345678"')}`);
});
