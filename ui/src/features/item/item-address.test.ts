import { expect, test } from "vitest";
import { itemLink, placeOf, putItem, putPlace } from "./item-address";

test("the attempt and the phase of the open item are in the address, and go with it", () => {
  const params = new URLSearchParams("state=failed&item=a");
  putPlace(params, { attempt: 2, phase: "build" });
  expect(params.toString()).toBe("state=failed&item=a&attempt=2&phase=build");
  expect(placeOf(params)).toEqual({ attempt: 2, phase: "build" });
  // Another attempt: its own phase is chosen by the drawer.
  putPlace(params, { attempt: null, phase: null });
  expect(params.toString()).toBe("state=failed&item=a");
  putPlace(params, { phase: "run" });
  params.set("clone", "v3");
  putItem(params, "b");
  expect(params.toString()).toBe("state=failed&item=b");
  putItem(params, null);
  expect(params.toString()).toBe("state=failed");
});

test("nonsense is the drawer's own choice", () => {
  for (const attempt of ["0", "-1", "two", "1.5", ""]) expect(placeOf(new URLSearchParams({ attempt })).attempt).toBeNull();
  expect(placeOf(new URLSearchParams())).toEqual({ attempt: null, phase: null });
});

test("a link to an item leads to its queue, and to what one looks at", () => {
  const item = { id: "a", entity: "dev", queue: "default" };
  expect(itemLink(item, { attempt: null, phase: null })).toBe("/launch/dev/default/items?item=a");
  expect(itemLink(item, { attempt: 1, phase: "build" })).toBe("/launch/dev/default/items?item=a&attempt=1&phase=build");
});
