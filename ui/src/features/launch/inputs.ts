/** The launch form's rules: fields from a JSON Schema, values to a config, a launch as a command. Pure. */
import type { Json, JsonObject } from "../../api/types";
import { shellWord } from "../../format/text";

export interface InputField {
  /** Dotted key: the field's name. */
  path: string;
  type: "string" | "integer" | "number" | "boolean" | "json";
  choices: Json[] | null;
  default: Json | undefined;
  required: boolean;
  /** Range, in words. */
  range: string;
  help: string;
}

type Schema = Record<string, unknown>;

function resolved(schema: Schema, root: Schema, depth: number): Schema {
  if (depth > 16) return schema;
  let out: Schema = { ...schema };
  const ref = typeof schema.$ref === "string" ? schema.$ref : null;
  if (ref?.startsWith("#/")) {
    let target: unknown = root;
    for (const part of ref.slice(2).split("/")) target = (target as Schema | undefined)?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
    if (target && typeof target === "object") {
      const rest = Object.fromEntries(Object.entries(out).filter(([key]) => key !== "$ref"));
      out = { ...resolved(target as Schema, root, depth + 1), ...rest };
    }
  }
  for (const part of Array.isArray(schema.allOf) ? (schema.allOf as Schema[]) : []) out = { ...resolved(part, root, depth + 1), ...out };
  const choices = (Array.isArray(schema.anyOf) ? schema.anyOf : Array.isArray(schema.oneOf) ? schema.oneOf : []) as Schema[];
  // `Optional[X]` is X or null: the form asks for X.
  const real = choices.filter((choice) => choice.type !== "null");
  if (real.length === 1) out = { ...resolved(real[0]!, root, depth + 1), ...out };
  return out;
}

/** The fields of a schema, objects flattened to dotted keys. */
export function fieldsOf(schema: unknown): InputField[] {
  if (!schema || typeof schema !== "object") return [];
  const root = schema as Schema;
  const found: InputField[] = [];
  const walk = (raw: Schema, path: string, required: boolean, given: Json | undefined, depth: number) => {
    const rules = resolved(raw, root, 0);
    const fallback = given !== undefined ? given : (rules.default as Json | undefined);
    const properties = rules.properties as Record<string, Schema> | undefined;
    if (properties && Object.keys(properties).length > 0 && depth < 12) {
      const must = Array.isArray(rules.required) ? (rules.required as string[]) : [];
      const inner = fallback && typeof fallback === "object" && !Array.isArray(fallback) ? fallback : {};
      for (const [key, value] of Object.entries(properties)) walk(value, path ? `${path}.${key}` : key, must.includes(key), inner[key], depth + 1);
      return;
    }
    if (path === "") return;
    const types = (Array.isArray(rules.type) ? rules.type : [rules.type]).filter((word) => word !== "null");
    const type = types.length === 1 && ["string", "integer", "number", "boolean"].includes(String(types[0])) ? (types[0] as InputField["type"]) : "json";
    found.push({
      path,
      type,
      choices: Array.isArray(rules.enum) ? (rules.enum as Json[]) : null,
      default: fallback,
      required,
      range: rangeOf(rules),
      help: [rules.label ?? rules.title, rules.description].filter((text) => typeof text === "string").join(": "),
    });
  };
  walk(root, "", false, undefined, 0);
  return found;
}

function rangeOf(rules: Schema): string {
  const low = rules.minimum ?? rules.exclusiveMinimum;
  const high = rules.maximum ?? rules.exclusiveMaximum;
  if (low === undefined && high === undefined) return "";
  return `${low === undefined ? "" : String(low)} … ${high === undefined ? "" : String(high)}`.trim();
}

/** How a value stands in a field. */
export function shownValue(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Reads what was typed. Nothing typed is no value: the job's own stays. */
export function readField(field: InputField, text: string): { value?: Json; error?: string } {
  if (text === "") return {};
  if (field.choices) {
    const choice = field.choices.find((one) => shownValue(one) === text);
    return choice === undefined ? { error: "must be one of the choices" } : { value: choice };
  }
  switch (field.type) {
    case "string":
      return { value: text };
    case "boolean":
      return text === "true" || text === "false" ? { value: text === "true" } : { error: "must be true or false" };
    case "integer":
      return /^\s*[+-]?\d+\s*$/.test(text) ? { value: Number(text) } : { error: "must be a whole number" };
    case "number":
      return text.trim() !== "" && Number.isFinite(Number(text)) ? { value: Number(text) } : { error: "must be a number" };
    case "json":
      try {
        return { value: JSON.parse(text) as Json };
      } catch {
        return { error: "must be JSON: text needs quotes" };
      }
  }
}

/** Sets a dotted key. */
export function withPath(object: JsonObject, path: string, value: Json): JsonObject {
  const [head, ...rest] = path.split(".");
  const inner = object[head!];
  if (rest.length === 0) return { ...object, [head!]: value };
  const below = inner && typeof inner === "object" && !Array.isArray(inner) ? inner : {};
  return { ...object, [head!]: withPath(below, rest.join("."), value) };
}

/** Reads a dotted key; a key that has the dots itself wins. */
export function atPath(object: unknown, path: string): Json | undefined {
  if (!object || typeof object !== "object") return undefined;
  const direct = (object as JsonObject)[path];
  if (direct !== undefined) return direct;
  const [head, ...rest] = path.split(".");
  const inner = (object as JsonObject)[head!];
  return rest.length === 0 ? inner : atPath(inner, rest.join("."));
}

/** All leaves by dotted key. */
export function leaves(value: unknown, prefix = ""): [string, Json][] {
  if (value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, inner]) => leaves(inner, prefix ? `${prefix}.${key}` : key));
  }
  return prefix === "" ? [] : [[prefix, value as Json]];
}

/** The values that were typed, and what is wrong with them. Where the job knows its own values those are left out, and an empty
    field leaves them; `all` is for a schema, whose defaults only it knows. */
export function configOf(fields: InputField[], typed: Record<string, string>, all: boolean): { config: JsonObject; errors: Record<string, string> } {
  let config: JsonObject = {};
  const errors: Record<string, string> = {};
  for (const field of fields) {
    const text = typed[field.path] ?? "";
    const { value, error } = readField(field, text);
    if (error) errors[field.path] = error;
    else if (value === undefined && field.required && (all || field.default === undefined)) errors[field.path] = "is required";
    else if (value !== undefined && (all || JSON.stringify(value) !== JSON.stringify(field.default))) config = withPath(config, field.path, value);
  }
  return { config, errors };
}

/** The texts that fields begin with: the given values, else the job's own. */
export function begin(fields: InputField[], given: JsonObject | undefined): Record<string, string> {
  const typed: Record<string, string> = {};
  for (const field of fields) {
    const value = given ? atPath(given, field.path) : undefined;
    typed[field.path] = shownValue(value === undefined ? field.default : value);
  }
  return typed;
}

/** All inputs as one object: what the form has, with the job's own values, and what goes beside it. */
export function wholeOf(fields: InputField[], typed: Record<string, string>, rest: JsonObject): JsonObject {
  let whole: JsonObject = {};
  for (const field of fields) {
    const { value } = readField(field, typed[field.path] ?? "");
    if (value !== undefined) whole = withPath(whole, field.path, value);
  }
  return leaves(rest).reduce((all, [path, value]) => withPath(all, path, value), whole);
}

/** The other way round: texts for the fields, and what no field has. */
export function partsOf(fields: InputField[], whole: JsonObject): { typed: Record<string, string>; rest: JsonObject } {
  const rest = leaves(whole)
    .filter(([path]) => !fields.some((field) => path === field.path || path.startsWith(`${field.path}.`)))
    .reduce<JsonObject>((all, [path, value]) => withPath(all, path, value), {});
  return { typed: begin(fields, whole), rest };
}

/** Reads `NAME=value` lines. */
export function readEnv(text: string): { env?: JsonObject; error?: string } {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) return {};
  const env: JsonObject = {};
  for (const line of lines) {
    const found = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (!found) return { error: `\`${line}\` is not NAME=value` };
    env[found[1]!] = found[2]!.replace(/^(["'])(.*)\1$/, "$2");
  }
  return { env };
}

export interface LaunchSpec {
  job?: string | null;
  image?: string | null;
  entity: string;
  queue: string;
  project: string;
  name: string;
  priority: string | null;
  config: JsonObject;
  templates: JsonObject;
  entryPoint: string;
  args: string;
  resources: JsonObject;
  resource: string | null;
  /** The environment is built anew, whatever is kept. */
  rebuild?: boolean;
}

/** Splits a command line as a POSIX shell would, without expansions. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    if (quote) {
      if (letter === quote) quote = "";
      else if (letter === "\\" && quote === '"' && '"\\$`'.includes(text[i + 1] ?? " ")) word = (word ?? "") + text[++i];
      else word = (word ?? "") + letter;
    } else if (letter === "'" || letter === '"') {
      quote = letter;
      word ??= "";
    } else if (letter === "\\" && i + 1 < text.length) word = (word ?? "") + text[++i];
    else if (/\s/.test(letter)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + letter;
  }
  if (word !== null) words.push(word);
  return words;
}

/** The body of the push. */
export function launchBody(spec: LaunchSpec): JsonObject {
  const overrides: JsonObject = {};
  if (Object.keys(spec.config).length > 0) overrides.run_config = spec.config;
  if (spec.entryPoint.trim()) overrides.entry_point = shellWords(spec.entryPoint);
  if (spec.args.trim()) overrides.args = shellWords(spec.args);
  const body: JsonObject = { project: spec.project };
  if (spec.job) body.job = spec.job;
  else if (spec.image) body.docker = { docker_image: spec.image };
  if (spec.name.trim()) body.name = spec.name.trim();
  if (Object.keys(overrides).length > 0) body.overrides = overrides;
  if (spec.priority) body.priority = spec.priority;
  if (Object.keys(spec.templates).length > 0) body.template_variables = spec.templates;
  if (spec.resource && Object.keys(spec.resources).length > 0) body.resource_args = { [spec.resource]: spec.resources };
  if (spec.rebuild) body.rebuild = true;
  return body;
}

/** The same launch for a terminal. */
export function launchCommand(spec: LaunchSpec): string {
  const words = ["lanza", "launch", "-q", spec.queue, "-e", spec.entity];
  if (spec.job) words.push("-j", spec.job);
  else if (spec.image) words.push("-d", spec.image);
  words.push("-p", spec.project);
  if (spec.name.trim()) words.push("--name", spec.name.trim());
  for (const [key, value] of leaves(spec.config)) words.push("--set", `${key}=${typeof value === "string" ? textForSet(value) : JSON.stringify(value)}`);
  for (const [key, value] of Object.entries(spec.templates)) words.push("-v", `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  if (spec.priority && spec.priority !== "medium") words.push("-P", spec.priority);
  if (Object.keys(spec.resources).length > 0) words.push("-R", JSON.stringify(spec.resources));
  if (spec.entryPoint.trim()) words.push("-E", spec.entryPoint.trim());
  if (spec.rebuild) words.push("--rebuild");
  const args = shellWords(spec.args);
  if (args.length > 0) words.push("--args", ...args);
  return words.map(shellWord).join(" ");
}

/** Text that would read as JSON is quoted, so that it stays text. */
function textForSet(text: string): string {
  try {
    JSON.parse(text);
    return JSON.stringify(text);
  } catch {
    return text;
  }
}

export interface LayerLine {
  path: string;
  value: Json;
  /** Who said so last: the queue's admin or the submitter. */
  from: "admin" | "mine";
  /** What the admin's layer had, when the submitter changed it. */
  was: Json | undefined;
}

/** The effective configuration line by line, each with its layer. */
export function layers(config: { queue: unknown; item: unknown; effective: unknown }): LayerLine[] {
  return leaves(config.effective).map(([path, value]) => {
    const mine = atPath(config.item, path) !== undefined;
    const was = atPath(config.queue, path);
    return { path, value, from: mine ? "mine" : "admin", was: mine && JSON.stringify(was) !== JSON.stringify(value) ? was : undefined };
  });
}
