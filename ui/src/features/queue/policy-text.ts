/** A queue's limits and retries as they are typed, by their path in the policy. */
import type { Json, JsonObject } from "../../api/types";

export interface PolicyField {
  path: string;
  label: string;
  note: string;
  kind: "number" | "words";
}

export const policyFields: PolicyField[] = [
  { path: "max_running", label: "Running at most", note: "items of this queue at once", kind: "number" },
  { path: "max_running_per_user", label: "Per user at most", note: "running items of one user", kind: "number" },
  { path: "start_timeout_seconds", label: "Start timeout", note: "seconds from lease to start", kind: "number" },
  { path: "max_duration_seconds", label: "Longest run", note: "seconds; then it is stopped", kind: "number" },
  { path: "lost_after_seconds", label: "Lost after", note: "seconds of silence of its agent", kind: "number" },
  { path: "retry.max", label: "Retries", note: "attempts after the first", kind: "number" },
  { path: "submitter_fields", label: "Submitters may set", note: "paths of the configuration, such as memory, env; empty: what the target allows", kind: "words" },
  { path: "retry.backoff_seconds", label: "Wait before a retry", note: "seconds before the first retry, twice as many before each further one", kind: "number" },
  { path: "retry.on", label: "Retry on", note: "lost, preempted, infrastructure, exit:<code>", kind: "words" },
];

/** What a queue does just now. It has buttons of its own, and a change of the limits does not touch it. */
const modes = new Set(["paused", "draining"]);

export type PolicyText = Record<string, string>;

const at = (policy: JsonObject, path: string): Json | undefined => path.split(".").reduce<Json | undefined>((value, key) => (value as JsonObject | undefined)?.[key], policy);
const shown = (value: Json | undefined) => (value === undefined || value === null ? "" : Array.isArray(value) ? value.join(", ") : String(value as string | number));

/** The limits alone. */
export const limitsOf = (policy: JsonObject): JsonObject => Object.fromEntries(Object.entries(policy).filter(([key]) => !modes.has(key)));

export const policyText = (policy: JsonObject): PolicyText => Object.fromEntries(policyFields.map(({ path }) => [path, shown(at(policy, path))]));

/** The policy that was typed over another one. Whatever has no field stays. */
export function readPolicy(text: PolicyText, from: JsonObject): JsonObject {
  const policy = limitsOf(from);
  const retry: JsonObject = { ...((policy.retry ?? {}) as JsonObject) };
  const before = policyText(from);
  for (const { path, kind } of policyFields) {
    if (text[path] === before[path]) continue;
    const [block, key] = path.startsWith("retry.") ? [retry, path.slice("retry.".length)] : [policy, path];
    const words = text[path]!.split(",").map((word) => word.trim()).filter(Boolean);
    // Retries on nothing are not those on the usual causes, which is what no word at all means.
    const value: Json | undefined = kind === "number" ? (text[path]!.trim() === "" ? undefined : Number(text[path])) : words.length > 0 || path === "retry.on" ? words : undefined;
    if (value === undefined) delete block[key];
    else block[key] = value;
  }
  // An empty block would be a retry by its defaults.
  if (Object.keys(retry).length > 0) policy.retry = retry;
  else delete policy.retry;
  return policy;
}
