/** Configurations as text, JSON or YAML. The YAML reader is loaded when it is needed first. */
import type { Json, JsonObject } from "../../api/types";
import { parseConfig } from "./templates";

export type Language = "JSON" | "YAML";

/** JSON begins with a bracket; YAML may as well, and is then JSON for all that one notices. */
export const languageOf = (text: string): Language => (/^\s*([{[]|$)/.test(text) ? "JSON" : "YAML");

/** Reads a configuration in either language. */
export async function readConfig(text: string): Promise<{ config?: JsonObject; error?: string }> {
  if (languageOf(text) === "JSON") {
    const read = parseConfig(quoted(text));
    if (read.config || !text.includes("{{")) return read;
  }
  const { parseDocument } = await import("yaml");
  const document = parseDocument(quoted(text), { prettyErrors: true, strict: true });
  const wrong = document.errors[0];
  if (wrong) return { error: `This is not ${languageOf(text)}: ${wrong.message.split("\n", 1)[0]}` };
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (value && typeof value === "object" && !Array.isArray(value)) return { config: plain(value) as JsonObject };
  return { error: "The configuration must be an object: keys with values." };
}

/** Writes a configuration in a language. */
export async function writeConfig(config: JsonObject, language: Language): Promise<string> {
  if (language === "JSON") return JSON.stringify(config, null, 2);
  if (Object.keys(config).length === 0) return "";
  const { stringify } = await import("yaml");
  return stringify(config, { lineWidth: 0 });
}

/** A bare `{{name}}` as a value would be a mapping to YAML and an error to JSON: it becomes the text that it means. */
function quoted(text: string): string {
  return text.replace(/^(\s*(?:-\s+|"?[\w./-]+"?\s*:\s*))(\{\{\s*[\w-]+\s*\}\})(\s*(?:,|#.*)?)$/gm, '$1"$2"$3');
}

/** What JSON can say: dates and other things of YAML become text. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
