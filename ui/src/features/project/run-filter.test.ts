import { expect, test } from "vitest";
import { suggestions } from "../../components/suggest";
import { chipKey, chipsFrom, chipTyped, filterOf, parseChip, quotedValue } from "./run-filter";

test("chips are read as people type them", () => {
  expect(parseChip("lr>0.1")).toEqual({ key: "config.lr", operator: ">", value: "0.1" });
  expect(parseChip("state:running")).toEqual({ key: "state", operator: "=", value: "running" });
  expect(parseChip("summary.train/loss <= 2")).toEqual({ key: "summary_metrics.train/loss", operator: "<=", value: "2" });
  expect(parseChip("tag=baseline")).toEqual({ key: "tags", operator: "=", value: "baseline" });
  expect(parseChip("bright star")).toEqual({ key: "display_name", operator: "has", value: "bright star" });
  expect(parseChip("summary.x y/ñ>3")).toEqual({ key: "summary_metrics.x y/ñ", operator: ">", value: "3" });
  expect(parseChip("größe=2")).toEqual({ key: "config.größe", operator: "=", value: "2" });
  expect(parseChip("  ")).toBeNull();
});

test("a chip survives the address", () => {
  for (const text of ["lr>0.1", "state:running", "summary.a.b!=x y", "name", "name~^a.*b$", "(((", '"lr=0.1"', "a b"]) {
    const chip = parseChip(text)!;
    expect(chipsFrom([chipKey(chip)])).toEqual([chip]);
  }
});

test("the filter is the public API's document", () => {
  expect(filterOf([])).toBeUndefined();
  expect(filterOf(chipsFrom(["lr>0.1"]))).toBe('{"config.lr":{"$gt":0.1}}');
  expect(filterOf(chipsFrom(["state=running", "ok=true"]))).toBe('{"$and":[{"state":"running"},{"config.ok":true}]}');
});

test("words are a part of the name, whatever stands in them; only ~ is an expression", () => {
  expect(filterOf(chipsFrom(["A(c?d"]))).toBe(String.raw`{"display_name":{"$regex":"(?i)A\\(c\\?d"}}`);
  expect(filterOf(chipsFrom(['"lr=0.1"']))).toBe(String.raw`{"display_name":{"$regex":"(?i)lr=0\\.1"}}`);
  expect(filterOf(chipsFrom(["name~^a"]))).toBe('{"display_name":{"$regex":"^a"}}');
});

test("tags, names and other texts are text, also where they read as numbers", () => {
  expect(filterOf(chipsFrom(["tag=2024", "group:true,1"]))).toBe('{"$and":[{"tags":"2024"},{"group":{"$in":["true","1"]}}]}');
  for (const tag of ["2024", "a,b", "*", '"x"', " y"]) expect(filterOf(chipsFrom([chipKey({ key: "tags", operator: "=", value: quotedValue(tag) })]))).toBe(JSON.stringify({ tags: tag }));
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
