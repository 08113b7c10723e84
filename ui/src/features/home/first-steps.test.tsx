// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test } from "vitest";
import { jobsQuery, keysQuery, meQuery, projectsOfQuery, queuesQuery } from "../../api/queries";
import { FirstSteps } from "./first-steps";

afterEach(cleanup);

test("each step ticks itself off, whatever the others do", async () => {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
  const set = (query: { queryKey: readonly unknown[] }, data: unknown) => queries.setQueryData(query.queryKey, data);
  const project = (runs: number) => [{ id: "p1", entity: "dev", name: "first", runs, created_at: "2026-01-01T00:00:00Z", description: "" }];
  set(meQuery, { username: "dev", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] });
  set(keysQuery, []);
  set(projectsOfQuery(["dev"]), project(0));
  set(jobsQuery("dev", "first"), []);
  set(queuesQuery(["dev"]), []);
  // The cache tells those who watch it a moment later.
  const told = async (write: () => unknown) =>
    act(async () => {
      write();
      await new Promise((done) => setTimeout(done));
    });
  const draw = (launched: boolean) => (
    <QueryClientProvider client={queries}>
      <MemoryRouter>
        <FirstSteps launched={launched} />
      </MemoryRouter>
    </QueryClientProvider>
  );
  const { rerender } = render(draw(false));
  const done = () => screen.getAllByRole("listitem").map((step) => step.getAttribute("aria-label"));
  const command = () => screen.getAllByRole("listitem")[3]!.textContent;
  expect(done()).toEqual(["Log in: to do", "Track a run: to do", "Make a job: to do", "Launch it: to do"]);
  expect(command()).toContain("lanza queue create default -e dev --target process\nlanza agent -q default -e dev &\nlanza launch -q default -e dev -p first -j dev/first/train:latest");

  // In an order of its own: a job of an image needs no run.
  await told(() => set(jobsQuery("dev", "first"), [{ name: "tool", latest: { reference: "dev/first/tool:v0" } }]));
  await told(() => set(queuesQuery(["dev"]), [{ entity: "dev", name: "old", agents: [] }, { entity: "dev", name: "gpu", agents: [{ id: "a", status: "polling" }] }]));
  expect(done()).toEqual(["Log in: to do", "Track a run: to do", "Make a job: done", "Launch it: to do"]);
  expect(command()).toContain("lanza launch -q gpu -e dev -p first -j dev/first/tool:v0");
  expect(command()).not.toMatch(/lanza (agent|queue)/);
  await told(() => set(keysQuery, [{ id: "k", prefix: "abcd" }]));
  expect(done()[0]).toBe("Log in: done");
  rerender(draw(true));
  expect(done()[3]).toBe("Launch it: done");
  await told(() => set(projectsOfQuery(["dev"]), project(1)));
  expect(done()).toEqual(["Log in: done", "Track a run: done", "Make a job: done", "Launch it: done"]);
});
