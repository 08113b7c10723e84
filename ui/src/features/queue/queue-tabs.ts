/** What the address of a queue's page keeps when one goes from tab to tab. Pure. */
import { itemFilters } from "./queue-data";

/** What each tab says of itself and has again when one comes back: the filters of items, the range of the monitor. */
const kept = new Set<string>([...itemFilters, "since", "by"]);

/** What is said of agents: their filter stays behind, and so does the one that is open. */
const ofAgents = ["agent", "f", "q"];

/** The query of another tab. What is open stays on the way to the items, which show it too. */
export function queryOfTab(tab: string, search: URLSearchParams): string {
  const next = new URLSearchParams(search);
  for (const key of [...next.keys()]) if (tab === "items" ? ofAgents.includes(key) : !kept.has(key)) next.delete(key);
  return next.size > 0 ? `?${next}` : "";
}
