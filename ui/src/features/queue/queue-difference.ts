/** What somebody else changed about a queue, value by value. */
import type { Json, JsonObject, Queue } from "../../api/types";
import { limitsOf } from "./policy-text";

/** The settings of a queue: what its form changes. */
export interface Settings {
  config: JsonObject;
  templates: JsonObject;
  policy: JsonObject;
  priority: boolean;
}

export const settingsOf = (queue: Queue): Settings => ({
  config: queue.config as JsonObject,
  templates: queue.templates as JsonObject,
  policy: limitsOf(queue.policy as JsonObject),
  priority: queue.priority,
});

export interface Difference {
  path: string;
  from: Json | undefined;
  to: Json | undefined;
}

const isObject = (value: unknown): value is JsonObject => value !== null && typeof value === "object" && !Array.isArray(value);

/** Every value that is another, by its path. A list is one value. */
export function differences(from: Json | undefined, to: Json | undefined, path = ""): Difference[] {
  if (isObject(from) && isObject(to)) {
    const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])];
    return keys.flatMap((key) => differences(from[key], to[key], path ? `${path}.${key}` : key));
  }
  return same(from, to) ? [] : [{ path, from, to }];
}

/** Objects in lists may have their keys in any order. */
function same(a: Json | undefined, b: Json | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((value, i) => same(value, b[i]));
  if (isObject(a) && isObject(b)) return differences(a, b).length === 0;
  return a === b;
}

/** The value at a path of `differences`. */
export const valueAt = (value: Json | undefined, path: string): Json | undefined => {
  if (path === "" || !isObject(value)) return path === "" ? value : undefined;
  // A key may hold dots itself.
  for (const key of Object.keys(value)) {
    if (path === key) return value[key];
    if (path.startsWith(`${key}.`)) {
      const found = valueAt(value[key], path.slice(key.length + 1));
      if (found !== undefined) return found;
    }
  }
  return undefined;
};
