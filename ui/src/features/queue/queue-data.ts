/** What the page of a queue asks first: the queue, and beside it its items as the address filters them. */
import { cache } from "../../api/cache";
import { itemsQuery, meQuery, queueQuery, queuesQuery } from "../../api/queries";
import { scopeOf } from "../../app/scope";

/** What items can be filtered by, as the address and the server call it. */
export const itemFilters = ["state", "author", "job"] as const;

export const queueItemsQuery = (entity: string, queue: string, params: URLSearchParams) =>
  itemsQuery({ entity, queue, ...Object.fromEntries(itemFilters.flatMap((key) => (params.get(key) ? [[key, params.get(key)]] : []))) });

export async function queueAhead({ entity = "", queue = "", tab = "items" }: Readonly<Record<string, string | undefined>>, params: URLSearchParams) {
  await Promise.all([cache.prefetchQuery(queueQuery(entity, queue)), tab === "items" ? cache.prefetchInfiniteQuery(queueItemsQuery(entity, queue, params)) : null]);
}

export async function queuesAhead(_path: object, params: URLSearchParams) {
  await cache.prefetchQuery(queuesQuery(scopeOf(await cache.fetchQuery(meQuery), params).entities));
}
