// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { type ComponentType, Suspense } from "react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { meQuery } from "../api/queries";
import { Component as Job } from "../features/job/job";
import { Component as Queue } from "../features/queue/queue";
import { useAllCommands } from "./commands";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const Commands = () => <output>{useAllCommands().map((command) => command.name).join()}</output>;

async function open(path: string, address: string, Component: ComponentType) {
  vi.stubGlobal("fetch", async () => Promise.resolve(new Response(JSON.stringify({ code: "not_found", message: "`nope` does not exist" }), { status: 404 })));
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  queries.setQueryData(meQuery.queryKey, { username: "dev", entity: "dev", admin: true, entities: [{ name: "dev", role: "admin" }] } as never);
  window.history.replaceState(null, "", address);
  const router = createBrowserRouter([{ path, element: <Component /> }]);
  render(
    <QueryClientProvider client={queries}>
      <Suspense>
        <RouterProvider router={router} />
        <Commands />
      </Suspense>
    </QueryClientProvider>,
  );
  await act(async () => Promise.resolve());
  await screen.findByRole("alert");
  return router;
}

test("what does not exist cannot be launched, by no button, address or command", async () => {
  for (const [path, address, Component] of [
    ["/:entity/:project/jobs/:name", "/dev/p/jobs/nope?launch=latest", Job],
    ["/launch/:entity/:queue/:tab?", "/launch/dev/nope/items?launch=choose", Queue],
  ] as const) {
    const router = await open(path, address, Component);
    expect(screen.getByRole("alert").textContent).toContain("`nope` does not exist");
    expect(screen.queryByRole("button", { name: "Launch" })).toBeNull();
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(screen.getByRole("status").textContent).toBe("");
    router.dispose();
    cleanup();
  }
});
