import { expect, test } from "vitest";
import { csvLine } from "../features/usage/usage";
import { inOrder } from "../features/queue/queue-items";
import { fitting, rank } from "./commands";
import type { Item } from "../api/types";

test("the palette finds by letters in order, whole words first", () => {
  expect(rank("Queues", "zz")).toBeNull();
  expect(rank("team-a / gpu", "gpu")!).toBeLessThan(rank("great pull up", "gpu")!);
  expect(rank("Home", "")).toBe(0);
});

test("the best come first, ids are found as they are, and what there is much of stands behind", () => {
  const entry = (name: string, more = {}) => ({ name, run: () => undefined, ...more });
  const names = (typed: string, most = 9) => fitting([entry("train · tuesday", { behind: 10, also: ["01a22f95"] }), entry("Launch train…"), entry("train"), entry("Theme")], typed, most).map((one) => one.name);
  expect(names("train")).toEqual(["train", "Launch train…", "train · tuesday"]);
  expect(names("train", 1)).toEqual(["train"]);
  expect(names(" A22F ")).toEqual(["train · tuesday"]);
  expect(names("a2f")).toEqual([]);
});

test("CSV quotes what needs it and disarms formulas", () => {
  expect(csvLine(['a"b', 1.5, "=SUM(A1)", "x,y"])).toBe(`"a""b",1.5,'=SUM(A1),"x,y"`);
});

test("items: what waits by place, then what runs, then what ended, newest first", () => {
  const item = (id: string, state: string, created_at: string, position?: number) => ({ id, state, created_at, why: position ? { position } : null }) as unknown as Item;
  const list = [item("old", "finished", "1"), item("second", "queued", "2", 2), item("new", "failed", "3"), item("run", "running", "0"), item("first", "queued", "4", 1)];
  expect(inOrder(list).map((one) => one.id)).toEqual(["first", "second", "run", "new", "old"]);
});
