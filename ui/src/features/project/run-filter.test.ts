import { expect, test } from "vitest";
import { suggestions } from "../../components/suggest";
import { chipKey, chipsFrom, chipTyped, filterOf, parseChip } from "./run-filter";

test("chips are read as people type them", () => {
  expect(parseChip("lr>0.1")).toEqual({ key: "config.lr", operator: ">", value: "0.1" });
  expect(parseChip("state:running")).toEqual({ key: "state", operator: "=", value: "running" });
  expect(parseChip("summary.train/loss <= 2")).toEqual({ key: "summary_metrics.train/loss", operator: "<=", value: "2" });
  expect(parseChip("tag=baseline")).toEqual({ key: "tags", operator: "=", value: "baseline" });
  expect(parseChip("bright star")).toEqual({ key: "display_name", operator: "~", value: "bright star" });
  expect(parseChip("  ")).toBeNull();
});

test("a chip survives the address", () => {
  for (const text of ["lr>0.1", "state:running", "summary.a.b!=x y", "name"]) {
    const chip = parseChip(text)!;
    expect(chipsFrom([chipKey(chip)])).toEqual([chip]);
  }
});

test("the filter is the public API's document", () => {
  expect(filterOf([])).toBeUndefined();
  expect(filterOf(chipsFrom(["lr>0.1"]))).toBe('{"config.lr":{"$gt":0.1}}');
  expect(filterOf(chipsFrom(["state=running", "ok=true"]))).toBe('{"$and":[{"state":"running"},{"config.ok":true}]}');
});

test("several values, and whether a key is there", () => {
  expect(filterOf(chipsFrom(["state:running,failed"]))).toBe('{"state":{"$in":["running","failed"]}}');
  expect(filterOf(chipsFrom(["lr!=0.1,0.2"]))).toBe('{"config.lr":{"$nin":[0.1,0.2]}}');
  expect(filterOf(chipsFrom(['note="a, b"']))).toBe('{"config.note":"a, b"}');
  expect(filterOf(chipsFrom(["lr=*"]))).toBe('{"config.lr":{"$exists":true}}');
  expect(filterOf(chipsFrom(["lr!=*"]))).toBe('{"config.lr":{"$exists":false}}');
});

test("a chip goes back into the field as it was typed", () => {
  for (const text of ["state=running", "summary.loss<=2", "bright star"]) expect(chipTyped(parseChip(text)!)).toBe(text);
});

test("keys are suggested, then values", () => {
  const keys = ["state", "config.lr", "config.model.lr_decay", "summary.loss"];
  expect(suggestions("lr", keys, {})).toEqual(["config.lr", "config.model.lr_decay"]);
  expect(suggestions("", keys, {})).toEqual([]);
  expect(suggestions("state:r", keys, { state: ["running", "failed"] })).toEqual(["state:running"]);
  expect(suggestions("a b", keys, {})).toEqual([]);
});
