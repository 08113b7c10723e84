import { expect, test } from "vitest";
import { isLive } from "./queue-state";
import { queryOfTab } from "./queue-tabs";
import { outputsOf } from "../job/job";
import { tableOf } from "../run/run-files";
import { metricKeys } from "../project/run-keys";

test("who takes items", () => {
  expect(["polling", "running", "draining", "killed", "not_polling"].filter(isLive)).toEqual(["polling", "running"]);
});

test("filters of items and the range of the monitor survive a look at another tab", () => {
  const at = (query: string) => new URLSearchParams(query);
  expect(queryOfTab("agents", at("state=failed&author=user-1&item=i1&attempt=2"))).toBe("?state=failed&author=user-1");
  expect(queryOfTab("items", at("state=failed&author=user-1&agent=a1&f=x&since=30d"))).toBe("?state=failed&author=user-1&since=30d");
  expect(queryOfTab("items", at("since=30d&item=i1"))).toBe("?since=30d&item=i1");
  expect(queryOfTab("config", at("brush=1-2&item=i1"))).toBe("");
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
