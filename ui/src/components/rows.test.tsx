// @vitest-environment jsdom
import { cleanup, fireEvent, render, renderHook, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { Rows, useQuietRows } from "./rows";
import { Empty } from "./view";

afterEach(cleanup);

const columns = [{ name: "Name", cell: (row: string) => row }, { name: "Letters", num: true, cell: (row: string) => row.length }];

test("a list without rows is a table with its columns, which says why", () => {
  const { rerender } = render(<Rows name="Jobs" rows={[]} columns={columns} id={(row) => row} empty={<Empty>No job yet.</Empty>} />);
  const table = screen.getByRole("table", { name: "Jobs" });
  expect(within(table).getAllByRole("columnheader").map((head) => head.textContent)).toEqual(["Name", "Letters"]);
  expect(within(table).getAllByRole("row")).toHaveLength(1);
  within(table).getByText("No job yet.");
  rerender(<Rows name="Jobs" rows={["train"]} columns={columns} id={(row) => row} empty={<Empty>No job yet.</Empty>} />);
  expect([screen.getAllByRole("row").length, screen.queryByText("No job yet.")]).toEqual([2, null]);
});

test("what is cut tells the whole while one points at it", () => {
  render(<Rows name="Jobs" rows={["short", "a long name"]} columns={columns} id={(row) => row} />);
  const cell = (text: string, width: number) => {
    const found = screen.getByText(text);
    Object.defineProperty(found, "scrollWidth", { value: width });
    Object.defineProperty(found, "clientWidth", { value: 50 });
    fireEvent.pointerOver(found);
    return found.title;
  };
  expect([cell("short", 50), cell("a long name", 90)]).toEqual(["", "a long name"]);
});

test("new rows wait while the reader is busy, but not those of another order or a further page", () => {
  const { result, rerender } = renderHook(({ rows, busy, scope }) => useQuietRows(rows, (row) => row, busy, scope), { initialProps: { rows: ["a", "b"], busy: false, scope: "new 1" } });
  rerender({ rows: ["c", "a", "b"], busy: true, scope: "new 1" });
  expect([result.current.rows, result.current.fresh]).toEqual([["a", "b"], 1]);
  // A row that went is gone at once.
  rerender({ rows: ["c", "b"], busy: true, scope: "new 1" });
  expect(result.current.rows).toEqual(["b"]);
  rerender({ rows: ["c", "b", "d", "e"], busy: true, scope: "new 2" });
  expect([result.current.rows, result.current.fresh]).toEqual([["c", "b", "d", "e"], 0]);
  rerender({ rows: ["x", "y"], busy: true, scope: "old 1" });
  expect(result.current.rows).toEqual(["x", "y"]);
  rerender({ rows: ["z", "x", "y"], busy: true, scope: "old 1" });
  rerender({ rows: ["z", "x", "y"], busy: false, scope: "old 1" });
  expect(result.current.rows).toEqual(["z", "x", "y"]);
});

test("columns that say their width keep it, and a cause may stand under its row", () => {
  const { container } = render(<Rows name="Kept" rows={["a"]} id={(row) => row} columns={[{ name: "State", width: 145, cell: () => "running" }, { name: "Cause", under: true, grow: true, cell: () => null }]} />);
  expect(container.querySelector("table")!.className).toBe("table kept");
  expect(container.querySelector("th")!.style.width).toBe("145px");
  // Empty, so that the style leaves no line for it.
  expect(container.querySelector("td.under")!.childNodes).toHaveLength(0);
});
