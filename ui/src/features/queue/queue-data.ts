/** What the page of a queue asks first: the queue, and beside it its items as the address filters them. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { cache } from "../../api/cache";
import { isEnded, type ItemFilter, itemsQuery, meQuery, queueQuery, queuesQuery } from "../../api/queries";
import type { Item } from "../../api/types";
import { scopeOf } from "../../app/scope";

/** What items can be filtered by, as the address and the server call it. */
export const itemFilters = ["state", "author", "job"] as const;

/** The parts that a queue's items are read in, as one looks for them: what runs, what is next, what is over. A long queue
    would else hide the first two behind its newest items. */
export const itemParts = ["running", "waiting", "ended"] as const;
export type ItemPart = (typeof itemParts)[number];

const statesOf: Record<ItemPart, string[]> = { running: ["leased", "running"], waiting: ["queued"], ended: ["finished", "failed", "stopped"] };

/** What is asked for a part of a queue's items, and whether the filter in the address leaves any of it. */
export function itemPart(part: ItemPart, entity: string, queue: string, params: URLSearchParams): { asked: boolean; filter: ItemFilter } {
  const wanted = params.get("state")?.split(",").filter(Boolean) ?? [];
  const states = wanted.length === 0 ? statesOf[part] : statesOf[part].filter((state) => wanted.includes(state));
  const others = Object.fromEntries((["author", "job"] as const).flatMap((key) => (params.get(key) ? [[key, params.get(key)!]] : [])));
  return { asked: states.length > 0, filter: { entity, queue, state: states.join(","), ...(part === "waiting" ? { order: "place" as const } : {}), ...others } };
}

const queryOf = (part: ItemPart, entity: string, queue: string, params: URLSearchParams) => {
  const { asked, filter } = itemPart(part, entity, queue, params);
  return { ...itemsQuery(filter), enabled: asked };
};

/** Parts as one list: what runs, what waits by its place, what ended, the newest first. An item that went on between two
    answers stands in both: where it is further counts. */
export function together(parts: Record<ItemPart, Item[]>): Item[] {
  const step = (item: Item) => (isEnded(item.state) ? 2 : item.state === "queued" ? 0 : 1);
  const furthest = new Map<string, Item>();
  for (const item of itemParts.flatMap((part) => parts[part])) {
    const known = furthest.get(item.id);
    if (!known || step(item) > step(known)) furthest.set(item.id, item);
  }
  const all = [...furthest.values()];
  return [...all.filter((item) => step(item) === 1), ...all.filter((item) => step(item) === 0), ...all.filter((item) => step(item) === 2)];
}

/** The items of a queue, live, each part with its own further pages. */
export function useQueueItems(entity: string, queue: string, params: URLSearchParams) {
  const queries = {
    running: useInfiniteQuery(queryOf("running", entity, queue, params)),
    waiting: useInfiniteQuery(queryOf("waiting", entity, queue, params)),
    ended: useInfiniteQuery(queryOf("ended", entity, queue, params)),
  };
  const asked = itemParts.filter((part) => itemPart(part, entity, queue, params).asked);
  const read = (part: ItemPart) => (asked.includes(part) ? (queries[part].data?.pages.flatMap((page) => page.items) ?? []) : []);
  const lists = { running: read("running"), waiting: read("waiting"), ended: read("ended") };
  const all = asked.map((part) => queries[part]);
  const failed = all.find((query) => query.isError);
  return {
    items: together(lists),
    parts: asked.map((part) => ({ part, query: queries[part], shown: lists[part].length })),
    pages: all.map((query) => query.data?.pages.length ?? 0).join(" "),
    /** All of them as one, for a view. */
    view: {
      data: all.every((query) => query.data !== undefined) ? true : undefined,
      isError: failed !== undefined,
      error: failed?.error ?? null,
      refetch: () => all.forEach((query) => void query.refetch()),
    },
  };
}

export async function queueAhead({ entity = "", queue = "", tab = "items" }: Readonly<Record<string, string | undefined>>, params: URLSearchParams) {
  const parts = tab === "items" ? itemParts.filter((part) => itemPart(part, entity, queue, params).asked) : [];
  await Promise.all([cache.prefetchQuery(queueQuery(entity, queue)), ...parts.map(async (part) => cache.prefetchInfiniteQuery(queryOf(part, entity, queue, params)))]);
}

export async function queuesAhead(_path: object, params: URLSearchParams) {
  await cache.prefetchQuery(queuesQuery(scopeOf(await cache.fetchQuery(meQuery), params).entities));
}
