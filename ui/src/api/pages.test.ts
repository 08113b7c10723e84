import { expect, test } from "vitest";
import { allOf, allPages, isCut, MOST, type ReadPage } from "./pages";

/** A list of `0 … size-1` as the server pages it, and what was asked for. */
function list(size: number) {
  const asked: { limit: number; after?: string }[] = [];
  const read: ReadPage<number> = async (query) => {
    asked.push(query);
    const from = query.after === undefined ? 0 : Number(query.after) + 1;
    const items = Array.from({ length: Math.min(query.limit, size - from) }, (_, i) => from + i);
    // Like the server: a full page has a cursor, also when nothing follows.
    return Promise.resolve({ items, next: items.length === query.limit ? String(items.at(-1)) : null });
  };
  return { read, asked };
}

test("a list is read to its end", async () => {
  for (const size of [0, 1, 101, 1_000, 2_345]) {
    const { read } = list(size);
    const all = await allPages(read);
    expect(all).toEqual(Array.from({ length: size }, (_, i) => i));
    expect(isCut(all)).toBe(false);
  }
  const { read, asked } = list(2_345);
  await allPages(read);
  expect(asked).toEqual([{ limit: 1000 }, { limit: 1000, after: "999" }, { limit: 1000, after: "1999" }]);
});

test("a list that is too long for a screen ends, and says so", async () => {
  const { read, asked } = list(1_000_000);
  const all = await allPages(read);
  expect([all.length, isCut(all), asked.length]).toEqual([MOST + 1, true, 11]);
  const exact = await allPages(list(MOST).read);
  expect([exact.length, isCut(exact)]).toEqual([MOST, false]);
});

test("the lists of several entities are one list with one end", async () => {
  const sizes: Record<string, number> = { ana: 1_200, vision: 3 };
  const all = await allOf(["ana", "vision"], (entity) => list(sizes[entity]!).read);
  expect([all.length, all[1_199], all[1_200], isCut(all)]).toEqual([1_203, 1_199, 0, false]);
  const many = await allOf(["a", "b"], () => list(MOST).read);
  expect([many.length, isCut(many)]).toEqual([MOST + 1, true]);
});
