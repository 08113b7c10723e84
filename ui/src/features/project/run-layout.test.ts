import { expect, test } from "vitest";
import { dropped, layoutOf, stepped, writeLayout } from "./run-layout";

test("a layout survives the address, with commas and per cents in its keys", () => {
  const layout = { columns: ["state", "summary.top,5", "config.50%"], widths: { "summary.top,5": 200, name: 320 }, pinned: ["summary.top,5"] };
  const params = new URLSearchParams();
  writeLayout(params, layout);
  expect(layoutOf(new URLSearchParams(params.toString()))).toEqual(layout);
  writeLayout(params, { columns: null, widths: {}, pinned: [] });
  expect(params.toString()).toBe("");
});

test("what makes no sense in an address is left out", () => {
  expect(layoutOf(new URLSearchParams("columns=state,nothing,state,config.lr&widths=state:9,tags:x,:5,config.lr:99999&pinned=,tags"))).toEqual({
    columns: ["state", "config.lr"],
    widths: { state: 48, "config.lr": 900 },
    pinned: ["tags"],
  });
  expect(layoutOf(new URLSearchParams()).columns).toBeNull();
});

test("a column moves among those that stand with it", () => {
  const columns = ["a", "b", "c", "d"];
  expect(stepped(columns, ["b", "d"], "d", -1)).toEqual(["a", "d", "c", "b"]);
  expect(stepped(columns, ["b", "d"], "a", 1)).toEqual(["c", "b", "a", "d"]);
  expect(stepped(columns, [], "a", -1)).toEqual(columns);
});

test("a column takes the place that it is dropped on, and is pinned there as its neighbour is", () => {
  const columns = ["a", "b", "c", "d"];
  expect(dropped(columns, [], "a", "c")).toEqual({ columns: ["b", "c", "a", "d"], pinned: [] });
  expect(dropped(columns, [], "d", "b")).toEqual({ columns: ["a", "d", "b", "c"], pinned: [] });
  expect(dropped(columns, ["c"], "d", "c")).toEqual({ columns: ["d", "c", "a", "b"], pinned: ["c", "d"] });
  expect(dropped(columns, ["c", "d"], "c", "a")).toEqual({ columns: ["d", "a", "c", "b"], pinned: ["d"] });
  expect(dropped(columns, [], "a", "gone")).toEqual({ columns, pinned: [] });
});
