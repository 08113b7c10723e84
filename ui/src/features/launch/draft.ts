/** What somebody fills in, kept above the form: another version of the job has other fields, and takes nothing away. */
import { useState } from "react";
import type { Item, Json, JsonObject } from "../../api/types";
import { shownValue } from "./inputs";

export interface Draft {
  /** Inputs that differ from what the form began with, by dotted key, as typed. */
  typed: Record<string, string>;
  /** JSON beside the fields, once somebody changed it. */
  raw?: string;
  /** The JSON of all inputs, while it is open: then it is what counts. */
  whole: string | null;
  /** `entity/name`; nothing is the queue that one probably means. */
  queue: string;
  priority: string;
  /** Null is the job's project. */
  project: string | null;
  name: string;
  /** Values of the queue's template, as typed. */
  templates: Record<string, string>;
  entryPoint: string;
  args: string;
  resources: string;
  env: string;
  rebuild: boolean;
}

export interface DraftState extends Draft {
  set: (change: Partial<Draft>) => void;
  /** Something was filled in. */
  dirty: boolean;
}

/** A draft that begins with the values of an item. */
export function beginning(from: Item | undefined, queue: { entity: string; name: string } | undefined): Draft {
  const overrides = (from?.overrides ?? {}) as { entry_point?: string[]; args?: string[] };
  return {
    typed: {},
    whole: null,
    queue: queue ? `${queue.entity}/${queue.name}` : from ? `${from.entity}/${from.queue}` : "",
    priority: from?.priority ?? "medium",
    project: from?.project ?? null,
    name: from?.name ?? "",
    templates: Object.fromEntries(Object.entries(from?.template_variables ?? {}).map(([key, value]) => [key, shownValue(value as Json)])),
    entryPoint: (overrides.entry_point ?? []).join(" "),
    args: (overrides.args ?? []).join(" "),
    resources: from && Object.keys(from.config.item as JsonObject).length > 0 ? JSON.stringify(from.config.item, null, 2) : "",
    env: "",
    rebuild: false,
  };
}

export function useDraft(from: Item | undefined, queue: { entity: string; name: string } | undefined): DraftState {
  const [begun] = useState(() => beginning(from, queue));
  const [draft, setDraft] = useState(begun);
  return { ...draft, set: (change) => setDraft((before) => ({ ...before, ...change })), dirty: JSON.stringify(draft) !== JSON.stringify(begun) };
}

/** Names an attempt to launch, so that one whose answer was lost can be made again without a second item. It needs no secure
    context, as `randomUUID` does. */
export const attemptKey = (): string => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
