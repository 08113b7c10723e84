/** Template variables of a queue's configuration: `{{name}}` in its text, a small JSON Schema each. */
import type { Json, JsonObject } from "../../api/types";

export interface Template {
  type: "string" | "integer" | "number";
  enum?: Json[];
  default?: Json;
  minimum?: number;
  maximum?: number;
  description?: string;
}

/** The names that a configuration uses, in the order in which they appear. */
export function templateNames(config: unknown): string[] {
  const names: string[] = [];
  const walk = (value: unknown) => {
    if (typeof value === "string") {
      for (const found of value.matchAll(/\{\{\s*([\p{L}\p{N}_-]+)\s*\}\}/gu)) if (!names.includes(found[1]!)) names.push(found[1]!);
    } else if (Array.isArray(value)) {
      value.forEach(walk);
    } else if (value && typeof value === "object") {
      Object.values(value).forEach(walk);
    }
  };
  walk(config);
  return names;
}

/** Reads a value that was typed for a template or an input of a type. Undefined when nothing was typed. */
export function typedValue(type: string | undefined, text: string): { value?: Json; error?: string } {
  if (text.trim() === "") return {};
  if (type === "integer") return /^[+-]?\d+$/.test(text.trim()) ? { value: Number(text) } : { error: "must be a whole number" };
  if (type === "number") return Number.isFinite(Number(text)) ? { value: Number(text) } : { error: "must be a number" };
  if (type === "boolean") return text === "true" || text === "false" ? { value: text === "true" } : { error: "must be true or false" };
  if (type === "string") return { value: text };
  try {
    return { value: JSON.parse(text) as Json };
  } catch {
    return { error: "must be JSON" };
  }
}

/** Parses a configuration as typed. */
export function parseConfig(text: string): { config?: JsonObject; error?: string } {
  if (text.trim() === "") return { config: {} };
  try {
    const value = JSON.parse(text) as Json;
    if (value && typeof value === "object" && !Array.isArray(value)) return { config: value };
    return { error: "The configuration must be a JSON object." };
  } catch (error) {
    return { error: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
