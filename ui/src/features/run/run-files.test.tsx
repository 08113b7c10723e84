// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test } from "vitest";
import { runFilesQuery } from "../../api/queries";
import type { Run, RunFile } from "../../api/types";
import { RunFiles } from "./run-files";

afterEach(cleanup);

/** The drawer of one file of a run, with that file alone. */
function open(file: Partial<RunFile>) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  const whole = { size_bytes: 5, updated_at: "2026-01-01T00:00:00Z", url: `http://elsewhere:8080/storage/x/${file.name}?token=t`, ...file };
  queries.setQueryData(runFilesQuery("dev", "p", "r1").queryKey, { items: [whole], next: null } as never);
  render(
    <QueryClientProvider client={queries}>
      <MemoryRouter initialEntries={[`/?file=${encodeURIComponent(file.name!)}`]}>
        <RunFiles run={{ entity: "dev", project: "p", id: "r1" } as Run} />
      </MemoryRouter>
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
