// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Run } from "../../api/types";
import { setDensity } from "../../app/density";
import { columnOf, RunsTable } from "./runs-table";

const HEIGHT = 320;

beforeAll(() => {
  // jsdom lays nothing out: the box is as high as ten rows.
  Object.defineProperty(HTMLElement.prototype, "clientHeight", { configurable: true, get: () => HEIGHT });
  Object.defineProperty(HTMLElement.prototype, "clientWidth", { configurable: true, get: () => 800 });
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {
        return undefined;
      }
      unobserve() {
        return undefined;
      }
      disconnect() {
        return undefined;
      }
    },
  );
});
beforeEach(() => setDensity("roomy"));
afterEach(cleanup);

const runs = Array.from({ length: 1_000 }, (_, index) => ({
  id: `id-${index}`,
  name: `run-${index}`,
  entity: "dev",
  project: "p",
  state: index === 1 ? "failed" : "finished",
  author: "user-1",
  tags: index === 0 ? ["baseline"] : [],
  created_at: "2026-01-01T00:00:00Z",
  ended_at: "2026-01-01T00:01:00Z",
  config: { lr: 0.1 },
  summary: { loss: 0.123456 },
  notes: "",
})) as unknown as Run[];

function draw(change: Partial<Parameters<typeof RunsTable>[0]> = {}) {
  const said = { onOrder: vi.fn(), onHide: vi.fn(), onOpen: vi.fn(), onChoose: vi.fn(), onAll: vi.fn(), onTag: vi.fn() };
  render(
    <MemoryRouter>
      <RunsTable
        project="dev/p"
        runs={runs}
        columns={["state", "summary.loss", "tags", "duration"].map(columnOf)}
        order="-created_at"
        hidden={new Set(["id-1"])}
        chosen={new Set(["id-2"])}
        open={null}
        more={null}
        busy={false}
        {...said}
        {...change}
      />
    </MemoryRouter>,
  );
  const row = (index: number) => document.querySelector<HTMLElement>(`tr[data-index="${index}"]`)!;
  return { ...said, row };
}

test("of many runs only those in view are drawn, and the table says how many there are", () => {
  const { row } = draw();
  expect(screen.getByRole("table", { name: "Runs" }).getAttribute("aria-rowcount")).toBe("1001");
  const drawn = document.querySelectorAll("tr[data-index]").length;
  expect(drawn).toBeGreaterThan(9);
  expect(drawn).toBeLessThan(60);
  expect(within(row(0)).getAllByRole("cell").map((cell) => cell.textContent)).toEqual(["", "", "run-0", "finished", "0.1235", "baseline", "1m 00s"]);
  expect(within(row(0)).getByRole("link", { name: "run-0" }).getAttribute("href")).toBe("/dev/p/runs/id-0");
  expect(within(row(1)).getByRole("button", { name: "Show run-1 in the charts" })).toBeTruthy();
  expect(row(2).getAttribute("aria-selected")).toBe("true");
});

test("a click on a row opens it; links, boxes and buttons in it do what they say", () => {
  const { row, ...said } = draw();
  fireEvent.click(within(row(3)).getByText("finished"));
  expect(said.onOpen.mock.calls).toEqual([["id-3"]]);
  fireEvent.click(within(row(0)).getByRole("checkbox", { name: "Select run-0" }));
  fireEvent.click(within(row(0)).getByRole("button", { name: "baseline" }));
  fireEvent.click(within(row(0)).getByRole("button", { name: "Hide run-0 in the charts" }));
  expect([said.onChoose.mock.calls, said.onTag.mock.calls, said.onHide.mock.calls]).toEqual([[["id-0"]], [["baseline"]], [["id-0"]]]);
  expect(said.onOpen).toHaveBeenCalledTimes(1);
});

test("keys select, hide and open the row that has the focus", () => {
  const { row, ...said } = draw();
  row(4).focus();
  for (const key of ["x", "h", "Enter"]) fireEvent.keyDown(row(4), { key });
  expect([said.onChoose, said.onHide, said.onOpen].map((heard) => heard.mock.calls)).toEqual([[["id-4"]], [["id-4"]], [["id-4"]]]);
});

test("a column is ordered one way, then the other", () => {
  const { onOrder } = draw({ order: "-summary_metrics.loss" });
  const column = screen.getByRole("columnheader", { name: /loss/ });
  expect(column.getAttribute("aria-sort")).toBe("descending");
  fireEvent.click(within(column).getByRole("button"));
  fireEvent.click(within(screen.getByRole("columnheader", { name: "State" })).getByRole("button"));
  expect(onOrder.mock.calls).toEqual([["+summary_metrics.loss"], ["-state"]]);
});

test("compact rows leave room for more of them", () => {
  const spare = () => parseFloat([...document.querySelectorAll<HTMLElement>('tr[aria-hidden="true"] td')].at(-1)!.style.height);
  draw();
  const roomy = spare() / (1_000 - document.querySelectorAll("tr[data-index]").length);
  cleanup();
  setDensity("compact");
  draw();
  const compact = spare() / (1_000 - document.querySelectorAll("tr[data-index]").length);
  expect([roomy, compact]).toEqual([32, 26]);
});
