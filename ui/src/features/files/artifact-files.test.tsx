// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import type { ArtifactFile } from "../../api/types";
import { ArtifactFiles, fileTextQuery } from "./artifact-files";

afterEach(cleanup);

const file = (path: string, change: Partial<ArtifactFile> = {}): ArtifactFile => ({ path, digest: `digest of ${path}`, size_bytes: 20, url: `http://elsewhere:8080/storage/a/${path}?token=t`, reference: null, ...change });

function open(address: string, files: ArtifactFile[], texts: Record<string, string> = {}) {
  window.history.replaceState(null, "", address);
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
  for (const one of files) if (texts[one.path] !== undefined) queries.setQueryData(fileTextQuery(one).queryKey, texts[one.path]);
  const router = createBrowserRouter([{ path: "/files", element: <ArtifactFiles files={files} /> }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return router;
}

test("a file is opened over the list, as text with a line for each of its lines, and what looks like markup stays text", async () => {
  const files = [file("train.py"), file("page.html")];
  const router = open("/files?tab=files", files, { "train.py": "import os\n\nprint(1)\n", "page.html": "<script>alert(1)</script>" });
  const link = await screen.findByRole("link", { name: "train.py" });
  expect(link.getAttribute("href")).toBe("/files?tab=files&file=train.py");
  await act(async () => Promise.resolve(fireEvent.click(link)));
  const drawer = await screen.findByRole("dialog", { name: "File train.py" });
  const text = within(drawer).getByRole("region", { name: "Text of train.py" });
  expect([...text.querySelectorAll(".source-line")].map((line) => line.textContent)).toEqual(["import os\n", "\n", "print(1)\n"]);
  // The page asks its own address, whatever the server thinks it is called.
  expect(within(drawer).getByRole("link", { name: "Download" }).getAttribute("href")).toBe("/storage/a/train.py?token=t");
  fireEvent.keyDown(drawer, { key: "j" });
  const page = await screen.findByRole("region", { name: "Text of page.html" });
  expect(page.textContent).toBe("<script>alert(1)</script>\n");
  expect(document.querySelector("script, iframe")).toBeNull();
  router.dispose();
});

test("images are images, and what cannot be shown says why", async () => {
  const files = [file("logo.svg"), file("model.pt"), file("big.txt", { size_bytes: 5 << 20 }), file("far.csv", { reference: "s3://bucket/far.csv" }), file("odd")];
  const shown = async (path: string) => {
    const router = open(`/files?file=${path}`, files, { odd: "PK\0" });
    const drawer = await screen.findByRole("dialog");
    const picture = drawer.querySelector("img")?.getAttribute("src") ?? "";
    const words = drawer.querySelector(".empty")?.textContent ?? "";
    expect(drawer.querySelector(".dialog-body svg, object, embed")).toBeNull();
    router.dispose();
    cleanup();
    return picture || words;
  };
  expect(await shown("logo.svg")).toBe("/storage/a/logo.svg?token=t");
  expect(await shown("model.pt")).toMatch(/no preview/);
  expect(await shown("big.txt")).toMatch(/too large.*5 MiB/);
  expect(await shown("far.csv")).toBe("It is kept elsewhere: s3://bucket/far.csv");
  expect(await shown("odd")).toMatch(/no text/);
});

test("many files have a filter", async () => {
  const router = open(
    "/files?q=train",
    Array.from({ length: 200 }, (_, index) => file(`${index % 20 === 0 ? "train" : "data"}/${index}.txt`)),
  );
  expect((await screen.findByRole("combobox", { name: "Filter files" })).getAttribute("value")).toBe("train");
  expect(screen.getAllByRole("row")).toHaveLength(11);
  router.dispose();
});
