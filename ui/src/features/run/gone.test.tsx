// @vitest-environment jsdom
import { listOf, Refused, server } from "../../testing/fake-server";
import { act, cleanup, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { runQuery } from "../../api/queries";
import { drawAt } from "../../testing/at";
import { Component } from "./run";
import { RunDrawer } from "./run-drawer";

// Charts have tests of their own.
vi.mock("../../components/chart-wall", () => ({ ChartWall: () => null }));
vi.mock("../../components/sparkline", () => ({ Sparkline: () => null }));
vi.mock("../../components/plot", () => ({ colourOf: () => ({}) }));

const path = "/entities/dev/projects/p/runs/r1";

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  vi.stubGlobal("EventSource", class { static readonly CLOSED = 2; addEventListener() {} close() {} });
  server.on("GET /me", { username: "dev", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] });
  server.on(`GET ${path}`, { run: { id: "r1", name: "warm-up", entity: "dev", project: "p", author: "dev", state: "finished", created_at: "2026-01-01T00:00:00Z", ended_at: "2026-01-01T00:01:00Z", tags: [], notes: "", config: {}, summary: {}, job: null } });
  server.on(`GET ${path}/job`, { job: null, why: "It has no code." });
  server.on(`GET ${path}/artifacts`, listOf([]));
});
afterEach(() => {
  cleanup();
  server.clear();
  vi.unstubAllGlobals();
});

const screens = {
  drawer: <RunDrawer name={{ entity: "dev", project: "p", run: "r1" }} id="r1" ids={["r1"]} onShow={() => undefined} />,
  page: <Component />,
};

test.each(["drawer", "page"] as const)("a run that somebody else deletes is gone in its %s, and is said to be so once", async (kind) => {
  const page = drawAt("/dev/p/runs/r1/artifacts", { "/:entity/:project/runs/:run/:tab": screens[kind] });
  await screen.findByRole("button", { name: "Make a job" });
  server.on(`GET ${path}`, new Refused(404, "not_found", "there is no run `r1`"));
  await act(async () => page.queries.refetchQueries({ queryKey: runQuery("dev", "p", "r1").queryKey }));
  await screen.findByText("warm-up was deleted.");
  expect(screen.queryByRole("button", { name: "Make a job" })).toBeNull();
  expect([screen.queryAllByRole("alert").length, screen.queryAllByRole("tab").length]).toEqual([0, 0]);
  expect(screen.getByRole("link", { name: "Runs of p" }).getAttribute("href")).toBe("/dev/p");
});

test("a run that was never there is an error", async () => {
  server.on(`GET ${path}`, new Refused(404, "not_found", "there is no run `r1`"));
  drawAt("/dev/p/runs/r1/artifacts", { "/:entity/:project/runs/:run/:tab": screens.page });
  expect((await screen.findByRole("alert")).textContent).toContain("there is no run");
});
