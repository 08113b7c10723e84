import { expect, test } from "vitest";
import { csvLine } from "../features/usage/usage";
import { fitting, rank } from "./commands";

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
