/** What the address says about the drawer of an item: which item, and which attempt and phase of it. Pure. */
import { put } from "../../app/address";

/** Opens the drawer of an item, or closes it. What was looked at in another one goes. */
export function putItem(params: URLSearchParams, id: string | null) {
  put(params, "item", id);
  for (const key of ["attempt", "phase", "clone"]) params.delete(key);
}

/** What is looked at in the open item. Nothing: what the drawer shows by itself. */
export interface ItemPlace {
  attempt: number | null;
  phase: string | null;
}

export function placeOf(params: URLSearchParams): ItemPlace {
  const attempt = Number(params.get("attempt"));
  return { attempt: Number.isInteger(attempt) && attempt > 0 ? attempt : null, phase: params.get("phase") };
}

export function putPlace(params: URLSearchParams, place: Partial<ItemPlace>) {
  if (place.attempt !== undefined) put(params, "attempt", place.attempt === null ? null : String(place.attempt));
  if (place.phase !== undefined) put(params, "phase", place.phase);
}

/** The address of an item on its queue's page, with what is looked at in it. */
export function itemLink(item: { id: string; entity: string; queue: string }, place: ItemPlace): string {
  const params = new URLSearchParams({ item: item.id });
  putPlace(params, place);
  return `/launch/${item.entity}/${item.queue}/items?${params}`;
}
