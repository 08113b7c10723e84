/** A queue's configuration as text in JSON or YAML, its keys explained, its template variables as tiles. */
import { useState } from "react";
import { api, type FieldRefusal, got, isAt, problemOf, whyAt } from "../../api/client";
import type { JsonObject } from "../../api/types";
import { Field } from "../../components/parts";
import { count } from "../../format/text";
import { type Language, languageOf, readConfig, writeConfig } from "./config-text";
import { keyHelp } from "./target-help";
import { TemplateTiles } from "./template-tiles";
import { readTiles, type TemplateText, templateText, tilesFor } from "./template-text";
import { type Template, templateNames } from "./templates";

/** What stands in the fields. */
export interface ConfigText {
  text: string;
  tiles: Record<string, TemplateText>;
}

export interface ConfigState extends ConfigText {
  setText: (text: string) => void;
  setTiles: (next: Record<string, TemplateText>) => void;
  error: string | null;
  /** What the last parse found. */
  found: string | null;
  /** What the server said of it then: keys that the target does not know, values that it does not take. */
  hints: string[];
  /** Reads the text and finds its template variables; null when something cannot be read, and its field says why. */
  parse: () => Promise<Parsed | null>;
  /** Reads it, and asks the server about it. */
  check: () => Promise<void>;
}

export interface Parsed {
  config: JsonObject;
  templates: Record<string, Template>;
}

/** What the server says of a queue's configuration, without storing it: it knows what each target takes. */
export async function hintsAbout(entity: string, queue: Parsed & { name: string; target: string | null }): Promise<string[]> {
  const planned = await got(api.PUT("/api/v1/entities/{entity}/queues", { params: { path: { entity }, query: { plan: true } }, body: { queues: [queue as never] } }));
  return planned.changes.flatMap((change) => change.warnings ?? []);
}

/** A configuration as the fields show it first. */
export const configText = (config: JsonObject, templates: Record<string, Template>): ConfigText => ({
  text: JSON.stringify(config, null, 2),
  tiles: Object.fromEntries(Object.entries(templates).map(([name, template]) => [name, templateText(template)])),
});

/** `ask` has the server look at a configuration, without storing it. */
export function useConfig(begin: ConfigText, ask: (parsed: Parsed) => Promise<string[]>): ConfigState {
  const [text, change] = useState(begin.text);
  const [tiles, setTiles] = useState(begin.tiles);
  const [error, setError] = useState<string | null>(null);
  const [found, setFound] = useState<string | null>(null);
  const [hints, setHints] = useState<string[]>([]);
  const parse = async () => {
    const read = await readConfig(text);
    setError(read.error ?? null);
    if (!read.config) return null;
    const next = tilesFor(templateNames(read.config), tiles);
    setTiles(next);
    const names = Object.keys(next).length;
    setFound(`Valid ${languageOf(text)} ${names === 0 ? "without template variables" : `with ${count(names, "template variable")}`}.`);
    const templates = readTiles(next);
    return templates && { config: read.config, templates };
  };
  const check = async () => {
    setHints([]);
    const parsed = await parse();
    if (!parsed) return;
    try {
      setHints(await ask(parsed));
    } catch (refused) {
      // It names the field as one of a list of queues.
      setHints([problemOf(refused).message.replace(/^queues\[0\]\./, "")]);
    }
  };
  const setText = (next: string) => {
    change(next);
    setFound(null);
    setError(null);
    setHints([]);
  };
  return { text, setText, tiles, setTiles, error, found, hints, parse, check };
}

/** `refused` is what the server said of one of its fields. */
export function ConfigField({ state, target, refused }: { state: ConfigState; target: string | null | undefined; refused?: FieldRefusal | null }) {
  const { text, setText, tiles, setTiles, error, found, hints, parse, check } = state;
  const language = languageOf(text);
  const rewrite = async (change: (config: JsonObject) => JsonObject, next: Language) => {
    await parse();
    const read = await readConfig(text);
    if (read.config) setText(await writeConfig(change(read.config), next));
  };
  const to = async (next: Language) => rewrite((config) => config, next);
  const insert = async (key: string, example: unknown) => rewrite((config) => ({ ...config, [key]: example as never }), language);
  const ofTile = refused && /^templates\.(.+)$/.exec(refused.path)?.[1];
  const keys = keyHelp[target ?? ""] ?? [];
  return (
    <>
      <Field
        label="Configuration"
        error={error ?? (refused && isAt(refused, "config") ? whyAt(refused, "config") : null)}
        note={found ?? `What stands below resource_args of ${target ?? "the item's target"}. {{name}} is a variable that the submitter fills.`}
        mark={
          <>
            <span className="grow" />
            <span className="switch" role="group" aria-label="Language">
              {(["JSON", "YAML"] as const).map((one) => (
                <button key={one} type="button" aria-pressed={language === one} onClick={() => language !== one && void to(one)}>
                  {one}
                </button>
              ))}
            </span>
          </>
        }
      >
        {(tie) => <textarea {...tie} className="area" rows={Math.min(24, Math.max(8, text.split("\n").length + 1))} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />}
      </Field>
      <div className="row wrap">
        <button type="button" className="button" onClick={() => void check()}>
          Parse configuration
        </button>
      </div>
      {hints.length > 0 && (
        <div className="banner" data-tone="amber" role="status" aria-label="About the configuration">
          {hints.map((hint) => (
            <div key={hint}>{hint}</div>
          ))}
        </div>
      )}
      {keys.length > 0 && (
        <details>
          <summary>
            Keys of {target} <span className="quiet">{keys.length}</span>
          </summary>
          <dl className="facts keys">
            {keys.map(({ key, help, example }) => (
              <div key={key} style={{ display: "contents" }}>
                <dt>
                  <button type="button" className="link mono" title={`Add ${key}`} onClick={() => void insert(key, example)}>
                    {key}
                  </button>
                </dt>
                <dd>
                  {help} <code className="quiet">{JSON.stringify(example)}</code>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      <TemplateTiles tiles={tiles} onChange={setTiles} {...(refused && ofTile ? { refused: { [ofTile]: refused.why } } : {})} />
    </>
  );
}
