/** A template variable as it is typed: texts, which may not fit its type yet, and what is wrong with each. */
import type { Json } from "../../api/types";
import { type Template, typedValue } from "./templates";

export interface TemplateText {
  /** What the texts began with: a text that was not touched stands for the value that it shows. */
  from: Template;
  type: Template["type"];
  default: string;
  choices: string;
  minimum: string;
  maximum: string;
}

type Part = "default" | "choices" | "minimum" | "maximum";
export type TemplateErrors = Partial<Record<Part, string>>;

const shown = (value: Json | undefined) => (value === undefined ? "" : String(value as string | number));
const shownChoices = (template: Template) => (template.enum ?? []).map(shown).join(", ");

export const templateText = (from: Template): TemplateText => ({
  from,
  type: from.type,
  default: shown(from.default),
  choices: shownChoices(from),
  minimum: shown(from.minimum),
  maximum: shown(from.maximum),
});

/** Reads what was typed. What does not fit is named, part by part, and not left out. */
export function readTemplate(text: TemplateText): { template: Template; errors: TemplateErrors } {
  const { from, type } = text;
  const errors: TemplateErrors = {};
  const same = type === from.type;
  const number = (part: "minimum" | "maximum") => {
    const read = type === "string" ? {} : typedValue("number", text[part]);
    if (read.error) errors[part] = read.error;
    return read.value as number | undefined;
  };
  const minimum = number("minimum");
  const maximum = number("maximum");
  if (minimum !== undefined && maximum !== undefined && minimum > maximum) errors.maximum = `is less than the minimum, ${minimum}`;

  const outside = (value: Json) => {
    if (typeof value !== "number") return null;
    if (minimum !== undefined && value < minimum) return `${value} is less than the minimum, ${minimum}`;
    if (maximum !== undefined && value > maximum) return `${value} is more than the maximum, ${maximum}`;
    return null;
  };
  let choices: Json[] = [];
  // A choice may hold a comma, which only its text cannot say.
  if (same && text.choices === shownChoices(from)) choices = from.enum ?? [];
  else
    for (const word of text.choices.split(",").map((word) => word.trim()).filter(Boolean)) {
      const read = typedValue(type, word);
      if (read.error) errors.choices ??= `\`${word}\` ${read.error}`;
      else choices.push(read.value!);
    }
  for (const choice of choices) {
    const why = outside(choice);
    if (why) errors.choices ??= why;
  }

  const read = same && text.default === shown(from.default) ? { value: from.default } : typedValue(type, text.default);
  const value = read.value;
  if (read.error) errors.default = read.error;
  else if (value !== undefined) {
    const why = choices.length > 0 && !errors.choices && !choices.includes(value) ? "must be one of the choices" : outside(value);
    if (why) errors.default = why;
  }

  const template: Template = { ...from, type };
  const put = (key: "default" | "enum" | "minimum" | "maximum", value: Json | Json[] | undefined) => {
    if (value === undefined) delete template[key];
    else Object.assign(template, { [key]: value });
  };
  put("default", value);
  put("enum", choices.length > 0 ? choices : undefined);
  put("minimum", minimum);
  put("maximum", maximum);
  return { template, errors };
}

/** A tile for each name, with what was typed into those that are there. */
export function tilesFor(names: string[], known: Record<string, TemplateText>): Record<string, TemplateText> {
  return Object.fromEntries(names.map((name) => [name, known[name] ?? templateText({ type: "string" })]));
}

/** The templates of all tiles; null when one does not fit. */
export function readTiles(tiles: Record<string, TemplateText>): Record<string, Template> | null {
  const read = Object.entries(tiles).map(([name, text]) => [name, readTemplate(text)] as const);
  if (read.some(([, { errors }]) => Object.keys(errors).length > 0)) return null;
  return Object.fromEntries(read.map(([name, { template }]) => [name, template]));
}
