// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { runFilesQuery } from "../../api/queries";
import type { Run, RunFile } from "../../api/types";
import { RunFiles } from "./run-files";

afterEach(cleanup);

/** The drawer of one file of a run, before others of its list. */
function open(file: Partial<RunFile>, ...others: string[]) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  const whole = { size_bytes: 5, updated_at: "2026-01-01T00:00:00Z", url: `http://elsewhere:8080/storage/x/${file.name}?token=t`, ...file };
  queries.setQueryData(runFilesQuery("dev", "p", "r1").queryKey, [whole, ...others.map((name) => ({ ...whole, name, url: `http://elsewhere:8080/storage/x/${name}` }))] as never);
  // A change of the address begins with what the browser's own says.
  window.history.replaceState(null, "", `/?file=${encodeURIComponent(file.name!)}`);
  const router = createBrowserRouter([{ path: "/", element: <RunFiles run={{ entity: "dev", project: "p", id: "r1" } as Run} /> }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
}

test("a page that a run sent is drawn in a frame without any right", () => {
  open({ name: "page.html", mimetype: "text/html" });
  const frame = screen.getByTitle("page.html");
  // An empty list of rights: no script, no form, no origin of ours. Whatever is written into it takes a part of that away.
  expect(frame.getAttribute("sandbox")).toBe("");
  expect(frame.getAttribute("src")).toBe("/storage/x/page.html?token=t");
});

test("what could carry script is never put into the page itself", () => {
  open({ name: "picture.svg", mimetype: "image/svg+xml" });
  // A picture runs nothing; its markup would.
  expect(screen.getByAltText("picture.svg").tagName).toBe("IMG");
  expect(document.querySelector(".dialog-body svg, object, embed")).toBeNull();
  cleanup();
  open({ name: "page.xhtml", mimetype: "application/xhtml+xml", size_bytes: 3 << 20 });
  expect(document.querySelector("iframe, .dialog-body svg, object, embed")).toBeNull();
});

test("the arrows go to the next file of the list", async () => {
  open({ name: "a.png", mimetype: "image/png" }, "b.png");
  fireEvent.keyDown(screen.getByRole("dialog", { name: "File a.png" }), { key: "ArrowDown" });
  within(await screen.findByRole("dialog", { name: "File b.png" })).getByAltText("b.png");
  expect(window.location.search).toBe("?file=b.png");
});
