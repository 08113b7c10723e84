// @vitest-environment jsdom
import { renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { useQuietRows } from "./rows";

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
