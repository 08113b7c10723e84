import { expect, test } from "vitest";
import { pieces, requests } from "./series";

const run = (id: string) => ({ entity: "e", project: "p", id, state: "finished" });
const wish = (id: string, key: string) => ({ run: run(id), key, resolve: () => undefined, reject: () => undefined });
const shown = (all: ReturnType<typeof requests>) => all.map((some) => [[...new Set(some.map((one) => one.run.id))].join(), [...new Set(some.map((one) => one.key))].join()]);

test("the same keys of many runs are one request", () => {
  const wishes = ["a", "b", "c"].flatMap((id) => ["loss", "acc"].map((key) => wish(id, key)));
  expect(shown(requests(wishes, "history"))).toEqual([["a,b,c", "loss,acc"]]);
  expect(shown(requests(wishes, "system")).length).toBe(3);
  expect(shown(requests([...wishes, wish("d", "loss")], "history"))).toEqual([
    ["a,b,c", "loss,acc"],
    ["d", "loss"],
  ]);
});

test("long lists are cut, and nothing is lost", () => {
  const wishes = Array.from({ length: 70 }, (_, index) => wish("a", `k${index}`));
  const all = requests(wishes, "history");
  expect(all.map((some) => some.length)).toEqual([30, 30, 10]);
  expect(all.flat().length).toBe(70);
  expect(pieces([1, 2, 3], 2)).toEqual([[1, 2], [3]]);
});
