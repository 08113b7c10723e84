/** What differs between two versions of a job, value by value. */
import type { Json } from "../../api/types";
import { leaves } from "../launch/inputs";

/** One value that differs, under its dotted name; a side that has none is missing. */
export interface ValueChange {
  path: string;
  from?: Json;
  to?: Json;
}

/** A document's change as the values in it that differ, so that one reads what changed and not two whole documents. */
export function changedValues(field: string, from: unknown, to: unknown): ValueChange[] {
  const before = new Map(leaves(from ?? undefined, from === null || from === undefined ? "" : field));
  const after = new Map(leaves(to ?? undefined, to === null || to === undefined ? "" : field));
  // An empty document whose keys the other side fills says nothing itself.
  const says = (path: string, value: Json, other: Map<string, Json>) =>
    !(value && typeof value === "object" && Object.keys(value).length === 0 && [...other.keys()].some((key) => key.startsWith(`${path}.`)));
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((path) => {
    const [old, now] = [before.get(path), after.get(path)];
    if (JSON.stringify(old) === JSON.stringify(now)) return [];
    const change: ValueChange = { path };
    if (old !== undefined && says(path, old, after)) change.from = old;
    if (now !== undefined && says(path, now, before)) change.to = now;
    return "from" in change || "to" in change ? [change] : [];
  });
}
