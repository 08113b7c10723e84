import { expect, test } from "vitest";
import { changedValues } from "./changes";

test("of two documents only the values that differ are named", () => {
  const source = (commit: string, more: object = {}) => ({ git: { remote: "https://git.example/a.git", commit }, entrypoint: ["python", "train.py"], ...more });
  expect(changedValues("source", source("1"), source("2", { notebook: true }))).toEqual([
    { path: "source.git.commit", from: "1", to: "2" },
    { path: "source.notebook", to: true },
  ]);
  expect(changedValues("source", source("1"), source("1"))).toEqual([]);
});

test("plain values, missing ones and empty documents", () => {
  expect(changedValues("python", "3.11", "3.12")).toEqual([{ path: "python", from: "3.11", to: "3.12" }]);
  expect(changedValues("python", null, "3.12")).toEqual([{ path: "python", to: "3.12" }]);
  expect(changedValues("output_types", { type_map: {} }, { type_map: { loss: "number" } })).toEqual([{ path: "output_types.type_map.loss", to: "number" }]);
  expect(changedValues("inputs", {}, null)).toEqual([{ path: "inputs", from: {} }]);
});

test("types are named as the keys that they are of", () => {
  const types = (map: object) => ({ wb_type: "typedDict", params: { type_map: map } });
  const number = { wb_type: "number" };
  expect(changedValues("output_types", types({}), types({ loss: number, best: types({ epoch: number }) }))).toEqual([
    { path: "output_types.loss", to: "number" },
    { path: "output_types.best.epoch", to: "number" },
  ]);
  expect(changedValues("input_types", types({ lr: number }), types({ lr: { wb_type: "string" } }))).toEqual([{ path: "input_types.lr", from: "number", to: "string" }]);
});
