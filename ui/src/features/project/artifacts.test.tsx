// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { artifactsQuery, artifactVersionsQuery } from "../../api/queries";
import type { Artifact } from "../../api/types";
import { Artifacts } from "./artifacts";

afterEach(cleanup);

const version = (name: string, n: number, more: Partial<Artifact> = {}): Artifact => ({
  id: `${name}-${n}`,
  entity: "dev",
  project: "p",
  type: "model",
  name,
  version: `v${n}`,
  aliases: [],
  digest: "abcdef",
  size_bytes: 2048,
  file_count: 2,
  description: "",
  metadata: null,
  created_at: "2026-01-01T00:00:00Z",
  author: "ana",
  created_by_run: `run-${n}`,
  ...more,
});
const weights = [7, 6, 5, 4, 3, 2, 1, 0].map((n) => version("weights", n, n === 7 ? { aliases: ["latest", "best"] } : {}));
const data = version("digits", 0, { type: "dataset", created_by_run: null, author: null, size_bytes: 10, file_count: 1, description: "ten digits" });

function open(address: string) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  queries.setQueryData(artifactsQuery("dev", "p").queryKey, [weights[0]!, weights[5]!, data]);
  queries.setQueryData(artifactVersionsQuery(data).queryKey, [data]);
  queries.setQueryData(artifactVersionsQuery(weights[0]!).queryKey, weights);
  window.history.replaceState(null, "", address);
  const router = createBrowserRouter([{ path: "/dev/p/artifacts", element: <Artifacts entity="dev" project="p" /> }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return router;
}
const fact = (drawer: HTMLElement, name: string) => within(drawer).getByText(name, { selector: "dt" }).nextElementSibling!;

test("a click on an artifact opens its drawer, the arrows go on, and Esc closes it", async () => {
  const router = open("/dev/p/artifacts");
  fireEvent.click(screen.getByRole("cell", { name: "v2" }));
  let drawer = await screen.findByRole("dialog", { name: "Artifact weights:v2" });
  expect(new URLSearchParams(window.location.search).get("artifact")).toBe("dev/p/model/weights:v2");
  expect(fact(drawer, "Type").textContent).toBe("model");
  expect(fact(drawer, "Version").textContent).toBe("v2");
  expect(fact(drawer, "Newest").textContent).toBe("v7latestbest");
  expect(fact(drawer, "Size").textContent).toBe("2 KiB in 2 files");
  expect(fact(drawer, "Made").textContent).toContain("by ana in run run-2");
  expect(within(drawer).getByRole("link", { name: "run-2" }).getAttribute("href")).toBe("/dev/p/runs/run-2");
  expect(within(drawer).getByRole("link", { name: "weights" }).getAttribute("href")).toBe("/dev/p/artifacts/model/weights/v2");
  // Five of eight versions, and that there are more is said.
  expect(within(within(drawer).getByRole("table", { name: "Newest versions" })).getAllByRole("row")).toHaveLength(6);
  expect(drawer.textContent).toContain("5 of 8; the page has all.");
  fireEvent.keyDown(drawer, { key: "ArrowDown" });
  drawer = await screen.findByRole("dialog", { name: "Artifact digits:v0" });
  expect(fact(drawer, "Newest").textContent).toBe("this one");
  expect(fact(drawer, "Made").textContent).not.toContain("in run");
  expect(fact(drawer, "Description").textContent).toBe("ten digits");
  fireEvent(drawer, new Event("cancel", { cancelable: true }));
  await expect.poll(() => screen.queryByRole("dialog")).toBeNull();
  expect(window.location.search).toBe("");
  router.dispose();
});

test("a link opens the drawer, also of an artifact that the filter left out", async () => {
  const router = open(`/dev/p/artifacts?f=${encodeURIComponent("type=model")}&artifact=${encodeURIComponent("dev/p/dataset/digits:v0")}`);
  await screen.findByRole("dialog", { name: "Artifact digits:v0" });
  expect(within(screen.getByRole("table", { name: "Artifacts", hidden: true })).queryByText("dataset")).toBeNull();
  router.dispose();
});
