// @vitest-environment jsdom
import { listOf, Refused, server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { drawAt } from "../../testing/at";
import { Component } from "./home";

const run = { id: "r1", name: "warm-up", entity: "ana", project: "digits", state: "finished", created_at: "2026-01-01T00:00:00Z", tags: [], config: {}, summary: {}, job: null };

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  server.on("GET /me", { username: "ana", admin: false, entity: "ana", entities: [{ name: "ana", kind: "user", role: "admin" }] });
  for (const list of ["/items", "/me/keys", "/entities/ana/queues", "/entities/ana/agents", "/entities/ana/projects/digits/jobs"]) server.on(`GET ${list}`, listOf([]));
  server.on("GET /entities/ana/projects", listOf([{ id: "p", entity: "ana", name: "digits", runs: 9, created_at: "2026-01-01T00:00:00Z" }]));
  server.on("GET /entities/ana/projects/digits/runs", { items: [run] });
});
afterEach(() => {
  cleanup();
  server.clear();
  vi.unstubAllGlobals();
});

const open = (address = "/") => drawAt(address, { "/": <Component />, "/ana/digits": <h1>digits</h1> });
const none = "You tracked no run yet.";

test("runs that were not read yet, or were refused, are not said to be none", async () => {
  server.on("GET /entities/ana/projects/digits/runs", new Refused(503, "unavailable", "the store is away"));
  const page = open();
  const seen: boolean[] = [];
  await waitFor(() => {
    seen.push(screen.queryByText(none) !== null);
    screen.getByRole("alert");
  });
  expect([seen.includes(true), screen.getByRole("alert").textContent.includes("the store is away")]).toEqual([false, true]);
  server.on("GET /entities/ana/projects/digits/runs", { items: [run] });
  fireEvent.click(screen.getByRole("button", { name: "Retry" }));
  await screen.findByText("warm-up");
  expect(screen.queryByRole("alert")).toBeNull();
  page.unmount();
  server.on("GET /entities/ana/projects", new Refused(503, "unavailable", "the store is away"));
  open();
  await screen.findByRole("alert");
  expect(screen.queryByText(none)).toBeNull();
});

test("who has none is told so once all is read", async () => {
  server.on("GET /entities/ana/projects", listOf([]));
  open();
  await screen.findByText(none);
});

test("a filter that nothing fits says so and leads back", async () => {
  open("/?f=project%3Danother");
  expect((await screen.findAllByText("Nothing fits the filters.")).length).toBe(1);
  expect(screen.queryByText("warm-up")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Clear the filters" }));
  await screen.findByText("warm-up");
});
