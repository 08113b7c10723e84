import { expect, test } from "vitest";
import { lookOf, writeLook } from "./look";

test("the look survives the address, and nonsense is the default", () => {
  const look = { smoothing: 0.6, log: true, axis: "time" as const, zoom: { from: 10, to: 20.5 }, search: "loss" };
  const params = new URLSearchParams("f=state%3Drunning");
  writeLook(params, look);
  expect(lookOf(params)).toEqual(look);
  expect(params.get("f")).toBe("state=running");

  const plain = { smoothing: 0, log: false, axis: "step" as const, zoom: null, search: "" };
  writeLook(params, plain);
  expect(params.toString()).toBe("f=state%3Drunning");
  expect(lookOf(new URLSearchParams("smooth=7&axis=moon&zoom=9~3"))).toEqual(plain);
});
