// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { Suspense } from "react";
import { createMemoryRouter, RouterProvider } from "react-router";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { meQuery, projectsOfQuery, queuesQuery } from "../api/queries";
import type { Project } from "../api/types";
import { Notices } from "../components/notice";
import { askedProjects, PROJECTS, runsNamed, wanted } from "./found";
import { Palette } from "./palette";

const asked: string[] = [];

/** A server with a job, an item and a run. */
function answer(address: string): unknown {
  const url = new URL(address);
  if (url.pathname.endsWith("/jobs")) return [{ entity: "dev", project: "digits", name: "train-digits" }];
  if (url.pathname === "/api/v1/items") return [{ id: "01a22f95", entity: "dev", queue: "gpu", project: "digits", job: "dev/digits/train-digits:v2", run: "abcd1234", name: "tuesday", state: "failed" }];
  if (url.pathname.endsWith("/runs")) return url.searchParams.get("filter") === runsNamed("loud") ? [{ entity: "dev", project: "digits", id: "r1", name: "loud-sun", state: "finished" }] : [];
  throw new Error(address);
}

beforeEach(() => {
  asked.length = 0;
  // Nothing has a place in this document.
  Element.prototype.scrollIntoView = () => undefined;
  vi.stubGlobal("fetch", async (request: Request) => {
    asked.push(request.url);
    return Promise.resolve(new Response(JSON.stringify({ items: answer(request.url), next: null }), { headers: { "content-type": "application/json" } }));
  });
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const project = (name: string, runs = 1) => ({ id: name, entity: "dev", name, runs, created_at: "2026-01-01T00:00:00Z", description: "" }) as Project;

function open() {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
  queries.setQueryData(meQuery.queryKey, { username: "dev", entity: "dev", admin: false, entities: [{ name: "dev", role: "admin" }] } as never);
  queries.setQueryData(queuesQuery(["dev"]).queryKey, [{ entity: "dev", name: "gpu" }] as never);
  queries.setQueryData(projectsOfQuery(["dev"]).queryKey, [project("digits")]);
  const router = createMemoryRouter([{ path: "*", element: <Palette onClose={() => undefined} signOut={() => undefined} /> }]);
  render(
    <QueryClientProvider client={queries}>
      <Suspense>
        <RouterProvider router={router} />
        <Notices />
      </Suspense>
    </QueryClientProvider>,
  );
  return { router, type: (text: string) => fireEvent.change(screen.getByRole("combobox"), { target: { value: text } }) };
}

const options = () => screen.queryAllByRole("option", { hidden: true }).map((option) => [...option.children].map((part) => part.textContent));

test("jobs, runs and items are found by name from anywhere, with what each is", async () => {
  const { router, type } = open();
  // Nothing is asked before something is typed, and nothing for each letter.
  expect(asked).toEqual([]);
  for (const text of ["d", "di", "digi", "digits"]) type(text);
  await waitFor(() => expect(options()).toContainEqual(["train-digits", "Job · dev/digits"]));
  expect(options().slice(0, 4)).toEqual([
    ["dev / digits", "Project"],
    ["train-digits", "Job · dev/digits"],
    ["Launch train-digits…", "Launch · dev/digits"],
    ["train-digits:v2 · tuesday", "Item · dev/gpu · failed"],
  ]);
  expect(asked.filter((url) => url.includes("/runs"))).toHaveLength(1);
  type("loud");
  await waitFor(() => expect(options()[0]).toEqual(["loud-sun", "Run · dev/digits/r1 · finished"]));
  // An item is found by its id, too.
  type("01a22");
  await waitFor(() => expect(options()[0]?.[1]).toBe("Item · dev/gpu · failed"));
  type("launch train");
  await waitFor(() => expect(options()[0]?.[0]).toBe("Launch train-digits…"));
  fireEvent.keyDown(screen.getByRole("combobox"), { key: "Enter" });
  await waitFor(() => expect(router.state.location.pathname + router.state.location.search).toBe("/dev/digits/jobs/train-digits?launch=latest"));
});

test("what is chosen stays so when others come before it", async () => {
  const { type } = open();
  const chosen = () => screen.getByRole("option", { selected: true, hidden: true }).textContent;
  type("tr");
  expect(chosen()).toBe("Theme: dark");
  fireEvent.mouseMove(screen.getByRole("option", { selected: true, hidden: true }));
  await waitFor(() => expect(options()[0]).toEqual(["train-digits", "Job · dev/digits"]));
  expect(chosen()).toBe("Theme: dark");
});

test("a link that was copied says so", async () => {
  const { type } = open();
  document.execCommand = () => true;
  type("copy link");
  await act(async () => Promise.resolve(fireEvent.keyDown(screen.getByRole("combobox"), { key: "Enter" })));
  await screen.findByText("The link to this page is copied.");
});

test("what is asked: names without the verb, as they are, in the open project first", () => {
  expect([wanted("launch  train "), wanted("train"), wanted("launcher")]).toEqual([{ name: "train", launch: true }, { name: "train", launch: false }, { name: "launcher", launch: false }]);
  expect(runsNamed("a.b(")).toContain(JSON.stringify("(?i)a\\.b\\("));
  const many = Array.from({ length: 30 }, (_, index) => project(`p${index}`));
  const some = askedProjects(many, "/dev/p25/runs/x");
  expect([some.length, some[0]!.name, some[1]!.name]).toEqual([PROJECTS, "p25", "p0"]);
  expect(askedProjects(many, "/dev/p2")[0]!.name).toBe("p2");
});
