/** A queue's configuration as text in JSON or YAML, its keys explained, its template variables as tiles. */
import { useState } from "react";
import { api, got, problemOf } from "../../api/client";
import type { JsonObject } from "../../api/types";
import { Field } from "../../components/parts";
import { count } from "../../format/text";
import { type Language, languageOf, readConfig, writeConfig } from "./config-text";
import { keyHelp } from "./target-help";
import { TemplateTiles } from "./template-tiles";
import { type Template, templateNames, templatesFor } from "./templates";

export interface ConfigState {
  text: string;
  setText: (text: string) => void;
  templates: Record<string, Template>;
  setTemplates: (next: Record<string, Template>) => void;
  error: string | null;
  /** What the last parse found. */
  found: string | null;
  /** What the server said of it then: keys that the target does not know, values that it does not take. */
  hints: string[];
  /** Reads the text and finds its template variables; null when it cannot be read, and the field says why. */
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

/** `ask` has the server look at a configuration, without storing it. */
export function useConfig(begin: JsonObject, given: Record<string, Template>, ask: (parsed: Parsed) => Promise<string[]>): ConfigState {
  const [text, change] = useState(() => JSON.stringify(begin, null, 2));
  const [templates, setTemplates] = useState(given);
  const [error, setError] = useState<string | null>(null);
  const [found, setFound] = useState<string | null>(null);
  const [hints, setHints] = useState<string[]>([]);
  const parse = async () => {
    const read = await readConfig(text);
    setError(read.error ?? null);
    if (!read.config) return null;
    const next = templatesFor(templateNames(read.config), templates);
    setTemplates(next);
    const names = Object.keys(next).length;
    setFound(`Valid ${languageOf(text)} ${names === 0 ? "without template variables" : `with ${count(names, "template variable")}`}.`);
    return { config: read.config, templates: next };
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
  return { text, setText, templates, setTemplates, error, found, hints, parse, check };
}

export function ConfigField({ state, target }: { state: ConfigState; target: string | null | undefined }) {
  const { text, setText, templates, setTemplates, error, found, hints, parse, check } = state;
  const language = languageOf(text);
  const to = async (next: Language) => {
    const read = await parse();
    if (read) setText(await writeConfig(read.config, next));
  };
  const insert = async (key: string, example: unknown) => {
    const read = await parse();
    if (read) setText(await writeConfig({ ...read.config, [key]: example as never }, language));
  };
  const keys = keyHelp[target ?? ""] ?? [];
  return (
    <>
      <Field
        label="Configuration"
        error={error}
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
      <TemplateTiles key={Object.entries(templates).map(([name, { type }]) => `${name} ${type}`).join()} templates={templates} onChange={setTemplates} />
    </>
  );
}
