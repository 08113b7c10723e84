import { expect, test } from "vitest";
import { chipKey, chipsFrom, filterOf } from "./run-filter";
import { chipOf } from "./run-groups";

test("a group opens as a filter that finds its runs and no others", () => {
  const filter = (key: string, value: unknown) => filterOf(chipsFrom([chipKey(chipOf(key, value as never)!)]));
  expect(filter("config.optimizer", "adam")).toBe('{"config.optimizer":"adam"}');
  expect(filter("config.lr", 0.1)).toBe('{"config.lr":0.1}');
  expect(filter("config.lr", "0.1")).toBe('{"config.lr":"0.1"}');
  expect(filter("config.note", "a, b")).toBe('{"config.note":"a, b"}');
  expect(filter("config.flag", true)).toBe('{"config.flag":true}');
  expect(filter("group", null)).toBe('{"group":{"$exists":false}}');
  expect(filter("author", "user-1")).toBe('{"username":"user-1"}');
  expect(chipOf("config.list", [1, 2])).toBeNull();
});
