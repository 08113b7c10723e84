// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { pointsFor, seriesQuery } from "../api/series";
import type { Series } from "../api/types";
import { Chart, type ChartRun } from "./chart";
import { lookOf } from "./look";

// The canvas has tests in a browser.
vi.mock("./plot-area", () => ({ PlotArea: ({ lines }: { lines: { label: string }[] }) => <p>Drawn: {lines.map((line) => line.label).join()}</p> }));

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});
beforeEach(() => {
  // Everything is near the screen.
  vi.stubGlobal("IntersectionObserver", class {
    constructor(private readonly seen: (entries: { isIntersecting: boolean }[]) => void) {}
    observe() {
      this.seen([{ isIntersecting: true }]);
    }
    disconnect() {}
  });
});

const calm = lookOf(new URLSearchParams());
const run = (id: string, label: string): ChartRun => ({ entity: "dev", project: "p", id, label, state: "finished", colour: "#aa0000", dash: [] });

function chart(of: [ChartRun, Series][], look = calm) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
  for (const [one, series] of of) queries.setQueryData(seriesQuery(one, "history", "loss", pointsFor(of.length)).queryKey, series);
  render(
    <QueryClientProvider client={queries}>
      <Chart name="loss" runs={of.map(([one]) => one)} look={look} onZoom={() => undefined} />
    </QueryClientProvider>,
  );
}

test("the table of a chart tells runs of one name apart, and leaves out those without a point", () => {
  chart([[run("r1", "same"), [[0, 1, 1, 1]]], [run("r2", "same"), [[1, "NaN", "NaN", "NaN"]]], [run("r3", "other"), []]]);
  fireEvent.click(screen.getByRole("button", { name: "View data" }));
  const table = screen.getByRole("table", { name: "loss" });
  expect(within(table).getAllByRole("row").map((row) => [...row.children].map((cell) => cell.textContent))).toEqual([
    ["Step", "same (r1)", "same (r2)"],
    ["0", "1", ""],
    ["1", "", "NaN"],
  ]);
});

test("a chart of which nothing can be drawn says why", () => {
  chart([[run("r1", "a"), [[0, "NaN", "NaN", "NaN"]]]]);
  screen.getByText("No number is finite: all are NaN.");
  cleanup();
  chart([[run("r1", "a"), [[0, -1, -1, -1]]]], { ...calm, log: true });
  screen.getByText("No value is above zero: a log axis has no place for them.");
  cleanup();
  chart([[run("r1", "a"), [[0, -1, -1, -1]]]]);
  screen.getByText("Drawn: a");
});
