import { describe, expect, test } from "vitest";
import { readTemplate, readTiles, templateText, tilesFor } from "./template-text";
import type { Template } from "./templates";

const typed = (from: Template, change: object) => readTemplate({ ...templateText(from), ...change });

describe("a template variable as it is typed", () => {
  test("is read by its type", () => {
    expect(typed({ type: "integer" }, { default: "2", choices: "1, 2,", minimum: "1", maximum: "4" })).toEqual({ template: { type: "integer", default: 2, enum: [1, 2], minimum: 1, maximum: 4 }, errors: {} });
    expect(typed({ type: "string" }, { choices: "a, b", minimum: "left from another type" })).toEqual({ template: { type: "string", enum: ["a", "b"] }, errors: {} });
  });
  test("names what does not fit, and leaves nothing out", () => {
    expect(typed({ type: "integer" }, { default: "many", choices: "1, two, 3" }).errors).toEqual({ default: "must be a whole number", choices: "`two` must be a whole number" });
    expect(typed({ type: "number" }, { minimum: "5", maximum: "2" }).errors).toEqual({ maximum: "is less than the minimum, 5" });
    expect(typed({ type: "integer" }, { minimum: "2", choices: "1, 3" }).errors).toEqual({ choices: "1 is less than the minimum, 2" });
    expect(typed({ type: "integer" }, { maximum: "2", default: "3" }).errors).toEqual({ default: "3 is more than the maximum, 2" });
    expect(typed({ type: "string" }, { choices: "a, b", default: "c" }).errors).toEqual({ default: "must be one of the choices" });
    expect(typed({ type: "integer", default: 1 }, { type: "string" }).errors).toEqual({});
    expect(typed({ type: "string", default: "x" }, { type: "integer" }).errors).toEqual({ default: "must be a whole number" });
  });
  test("keeps what was not touched, and what has no field", () => {
    const from: Template = { type: "string", enum: ["a, b", "c"], default: "", description: "what it is" };
    expect(typed({ ...from, enum: ["", "c"] }, {}).template).toEqual({ ...from, enum: ["", "c"] });
    expect(typed({ ...from, default: "c" }, {}).template).toEqual({ ...from, default: "c" });
    expect(typed({ type: "integer", default: 1 }, { default: "" }).template).toEqual({ type: "integer" });
  });
  test("a tile stays as long as its name is used", () => {
    const tiles = tilesFor(["n", "m"], { n: { ...templateText({ type: "integer" }), default: "x" }, gone: templateText({ type: "string" }) });
    expect(Object.keys(tiles)).toEqual(["n", "m"]);
    expect(tiles.n!.default).toBe("x");
    expect(readTiles(tiles)).toBeNull();
    expect(readTiles(tilesFor(["m"], tiles))).toEqual({ m: { type: "string" } });
  });
});
