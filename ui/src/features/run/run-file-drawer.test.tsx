// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { runFilesQuery } from "../../api/queries";
import type { Run, RunFile } from "../../api/types";
import { fileTextQuery, RunFiles } from "./run-files";

afterEach(cleanup);

test("the drawer of a file goes to its neighbours, and a binary file says that it is one", async () => {
  const files = ["a.txt", "model.bin"].map((name) => ({ name, mimetype: "application/octet-stream", size_bytes: 5, updated_at: "2026-01-01T00:00:00Z", url: `http://elsewhere:8080/storage/x/${name}?token=t` }) as RunFile);
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  queries.setQueryData(runFilesQuery("dev", "p", "r1").queryKey, files);
  queries.setQueryData(fileTextQuery(files[0]!).queryKey, "words\n");
  queries.setQueryData(fileTextQuery(files[1]!).queryKey, null);
  window.history.replaceState(null, "", "/files?file=a.txt");
  const router = createBrowserRouter([{ path: "/files", element: <RunFiles run={{ entity: "dev", project: "p", id: "r1" } as Run} /> }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  const drawer = await screen.findByRole("dialog", { name: "File a.txt" });
  expect(within(drawer).getByRole("region", { name: "Text of a.txt" }).textContent).toBe("words\n");
  expect(within(drawer).getByRole("button", { name: "Previous file" })).toBeTruthy();
  fireEvent.keyDown(drawer, { key: "ArrowDown" });
  const next = await screen.findByRole("dialog", { name: "File model.bin" });
  expect(next.textContent).toContain("It is binary (5 B)");
  expect(within(next).queryByRole("region")).toBeNull();
  expect(within(next).getByRole("link", { name: "Download" }).getAttribute("href")).toBe("/storage/x/model.bin?token=t");
  router.dispose();
});
