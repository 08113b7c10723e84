import { expect, test } from "vitest";
import { isLive } from "./queue-state";
import { outputsOf } from "../job/job";
import { tableOf } from "../run/run-files";
import { metricKeys } from "../project/run-keys";

test("who takes items", () => {
  expect(["polling", "running", "draining", "killed", "not_polling"].filter(isLive)).toEqual(["polling", "running"]);
});

test("outputs of a type document", () => {
  expect(outputsOf({ wb_type: "typedDict", params: { type_map: { loss: { wb_type: "number" } } } })).toEqual({ loss: "number" });
  expect(outputsOf(null)).toEqual({});
});

test("a stored table, and what is none", () => {
  expect(tableOf('{"columns":["a",1],"data":[[1,2]]}')).toEqual({ columns: ["a", "1"], data: [[1, 2]] });
  expect(tableOf('{"a":1}')).toBeNull();
  expect(tableOf("{")).toBeNull();
});

test("charts are of numbers, also of those that are none", () => {
  expect(metricKeys([{ summary: { loss: 1, _step: 3, name: "x", bad: "NaN" } }, { summary: { acc: 0 } }])).toEqual(["loss", "bad", "acc"]);
});
