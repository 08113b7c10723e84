/** What differs between two versions of a job, value by value. */
import type { Json } from "../../api/types";
import { leaves } from "../launch/inputs";

/** One value that differs, under its dotted name; a side that has none is missing. */
export interface ValueChange {
  path: string;
  from?: Json;
  to?: Json;
}

/** A document of types as what it says: the type of each key, without the words around it. */
function plainTypes(value: unknown): unknown {
  const type = value as { wb_type?: string; params?: { type_map?: Record<string, unknown> } } | null | undefined;
  if (type?.params?.type_map) return Object.fromEntries(Object.entries(type.params.type_map).map(([key, inner]) => [key, plainTypes(inner)]));
  return type?.wb_type ?? value;
}

/** A document's change as the values in it that differ, so that one reads what changed and not two whole documents. */
export function changedValues(field: string, from: unknown, to: unknown): ValueChange[] {
  const leavesOf = (value: unknown) => (value === null || value === undefined ? new Map<string, Json>() : new Map(leaves(field.endsWith("_types") ? plainTypes(value) : value, field)));
  const [before, after] = [leavesOf(from), leavesOf(to)];
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
