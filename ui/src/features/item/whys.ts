import { useQueries } from "@tanstack/react-query";
import { itemQuery } from "../../api/queries";
import type { Item } from "../../api/types";

/** Waiting items of a list of which the reason is asked for: those that one sees first. */
const MOST = 15;

/** Lists do not say why items wait; the rows that one looks at do. */
export function useWhys(items: Item[]): Item[] {
  const waiting = items.filter((item) => item.state === "queued" && !item.why).slice(0, MOST);
  const found = useQueries({ queries: waiting.map((item) => ({ ...itemQuery(item.id), refetchInterval: 10_000, staleTime: 4_000 })) });
  if (waiting.length === 0) return items;
  const whys = new Map(waiting.map((item, index) => [item.id, found[index]?.data?.why]));
  return items.map((item) => {
    const why = whys.get(item.id);
    return why ? { ...item, why } : item;
  });
}
