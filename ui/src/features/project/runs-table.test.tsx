// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Run } from "../../api/types";
import { setDensity } from "../../app/density";
import type { RunLayout } from "./run-layout";
import { RunsTable } from "./runs-table";

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
  number: index + 1,
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

const plain: RunLayout = { columns: null, widths: {}, pinned: [] };

function draw(change: Partial<Parameters<typeof RunsTable>[0]> = {}) {
  const said = { onOrder: vi.fn(), onHide: vi.fn(), onOpen: vi.fn(), onPick: vi.fn(), onLayout: vi.fn<(change: Partial<RunLayout>) => void>(), onTag: vi.fn() };
  render(
    <MemoryRouter>
      <RunsTable
        runs={runs}
        keys={["state", "summary.loss", "tags", "duration"]}
        layout={plain}
        order="-created_at"
        hidden={new Set(["id-1"])}
        picked={new Set(["id-2", "far"])}
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
  expect([said.onPick.mock.calls, said.onTag.mock.calls, said.onHide.mock.calls]).toEqual([[[new Set(["id-2", "far", "id-0"])]], [["baseline"]], [["id-0"]]]);
  expect(said.onOpen).toHaveBeenCalledTimes(1);
});

test("keys select, hide and open the row that has the focus", () => {
  const { row, ...said } = draw();
  row(4).focus();
  for (const key of ["x", "h", "Enter"]) fireEvent.keyDown(row(4), { key });
  expect([said.onPick, said.onHide, said.onOpen].map((heard) => heard.mock.calls)).toEqual([[[new Set(["id-2", "far", "id-4"])]], [["id-4"]], [["id-4"]]]);
});

test("a column is ordered one way, then the other", () => {
  const { onOrder } = draw({ order: "-summary_metrics.loss" });
  const column = screen.getByRole("columnheader", { name: /loss/ });
  expect(column.getAttribute("aria-sort")).toBe("descending");
  fireEvent.click(within(column).getByRole("button"));
  fireEvent.click(within(screen.getByRole("columnheader", { name: "State" })).getByRole("button"));
  fireEvent.click(within(screen.getByRole("columnheader", { name: "Name" })).getByRole("button"));
  expect(onOrder.mock.calls).toEqual([["+summary_metrics.loss"], ["-state"], ["-display_name"]]);
  expect(within(screen.getByRole("columnheader", { name: "Tags" })).queryByRole("button")).toBeNull();
});

test("Shift selects all runs between two, and the head all that are loaded", () => {
  const picks: Set<string>[] = [];
  const { row } = draw({ onPick: (ids) => picks.push(ids) });
  fireEvent.click(within(row(3)).getByRole("checkbox"));
  fireEvent.click(within(row(6)).getByRole("checkbox"), { shiftKey: true });
  expect([...picks.at(-1)!].sort()).toEqual(["far", "id-2", "id-3", "id-4", "id-5", "id-6"]);
  fireEvent.click(screen.getByRole("checkbox", { name: "Select all loaded runs" }));
  expect(picks.at(-1)!.size).toBe(1_001);
});

test("an edge that is dragged makes a column wider at once, and says so when the hand lets go", () => {
  const { onLayout } = draw({ layout: { ...plain, widths: { tags: 300 } } });
  const width = () => document.querySelectorAll<HTMLElement>("col")[4]!.style.width;
  expect([width(), document.querySelectorAll<HTMLElement>("col")[5]!.style.width]).toEqual(["110px", "300px"]);
  const edge = screen.getByRole("columnheader", { name: /loss/ }).querySelector(".widener")!;
  fireEvent.mouseDown(edge, { clientX: 500 });
  fireEvent.mouseMove(document, { clientX: 540 });
  expect([width(), onLayout.mock.calls.length]).toEqual(["150px", 0]);
  fireEvent.mouseUp(document, { clientX: 545 });
  expect(onLayout.mock.calls).toEqual([[{ widths: { tags: 300, "summary.loss": 155 } }]]);
  fireEvent.doubleClick(screen.getByRole("columnheader", { name: "Tags" }).querySelector(".widener")!);
  expect(onLayout.mock.calls[1]).toEqual([{ widths: {} }]);
});

test("pinned columns stand at the left, each where the one before it ends", () => {
  draw({ layout: { ...plain, widths: { name: 200 }, pinned: ["tags"] } });
  expect(screen.getAllByRole("columnheader").map((head) => [head.textContent.trim(), head.style.left])).toEqual([
    ["", "0px"],
    ["Line in the charts", "36px"],
    ["Name", "96px"],
    ["Tags", "296px"],
    ["State", ""],
    ["loss", ""],
    ["Ran", ""],
  ]);
});

test("a right click on a column says what can be done with it", async () => {
  const { onLayout, onOrder } = draw({ layout: { ...plain, pinned: ["state"] } });
  const choose = async (column: string | RegExp, item: string) => {
    fireEvent.contextMenu(screen.getByRole("columnheader", { name: column }));
    fireEvent.click(await screen.findByRole("menuitem", { name: item }));
  };
  await choose("State", "Unpin");
  await choose("Tags", "Pin to the left");
  await choose(/loss/, "Move to the right");
  await choose("Ran", "Hide");
  await choose("Ran", "Least first");
  expect(onLayout.mock.calls.map(([change]) => change)).toEqual([{ pinned: [] }, { pinned: ["state", "tags"] }, { columns: ["state", "tags", "summary.loss", "duration"] }, { columns: ["state", "summary.loss", "tags"] }]);
  expect(onOrder.mock.calls).toEqual([["+duration"]]);
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
