import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, got } from "../../api/client";
import type { Json, JsonObject, Queue } from "../../api/types";
import { useMay } from "../../app/scope";
import { say, warn } from "../../components/notice";
import { Confirm, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { ConfigField, hintsAbout, useConfig } from "./config-field";
import { QueueHistory } from "./queue-history";
import type { Template } from "./templates";

const numbers: [string, string, string][] = [
  ["max_running", "Running at most", "items of this queue at once"],
  ["max_running_per_user", "Per user at most", "running items of one user"],
  ["start_timeout_seconds", "Start timeout", "seconds from lease to start"],
  ["max_duration_seconds", "Longest run", "seconds; then it is stopped"],
  ["lost_after_seconds", "Lost after", "seconds of silence of its agent"],
];

/** Words between commas; `none` when there is not one. */
function words<T>(text: string, none: T): string[] | T {
  const found = text.split(",").map((word) => word.trim()).filter(Boolean);
  return found.length > 0 ? found : none;
}

/** The queue's layer of the configuration, its templates, limits and retries, and who changed them. */
export function QueueConfig({ queue }: { queue: Queue }) {
  // An undone change is another queue to the form.
  const [undone, setUndone] = useState(0);
  return (
    <div className="columns">
      <Editor key={`${queue.id} ${undone}`} queue={queue} onUndone={() => setUndone((n) => n + 1)} />
      <QueueHistory queue={queue} />
    </div>
  );
}

function Editor({ queue, onUndone }: { queue: Queue; onUndone: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const may = useMay(queue.entity, "admin");
  const config = useConfig(queue.config as JsonObject, queue.templates as unknown as Record<string, Template>, (parsed) => hintsAbout(queue.entity, { name: queue.name, target: queue.target ?? null, ...parsed }));
  const [policy, setPolicy] = useState<JsonObject>(queue.policy as JsonObject);
  const [priority, setPriority] = useState(queue.priority);
  const [deleting, setDeleting] = useState(false);
  const path = { entity: queue.entity, queue: queue.name };

  const put = async ({ config, templates, policy, priority }: Pick<Queue, "config" | "templates" | "policy" | "priority">) => {
    const answer = await got(api.PATCH("/api/v1/entities/{entity}/queues/{queue}", { params: { path }, body: { config, templates, policy, priority } }));
    warn(answer.warnings ?? []);
    await queries.invalidateQueries({ queryKey: ["queue"] });
    await queries.invalidateQueries({ queryKey: ["queues"] });
  };
  const save = useMutation({
    mutationFn: async (body: { config: JsonObject; templates: object }) => {
      const before = queue;
      await put({ config: body.config as never, templates: body.templates as never, policy: policy as never, priority });
      say(`Saved ${queue.name}. Items that are pushed from now on get it.`, async () => {
        await put(before);
        onUndone();
      });
    },
  });
  const remove = useMutation({
    mutationFn: async () => api.DELETE("/api/v1/entities/{entity}/queues/{queue}", { params: { path } }),
    onSuccess: async () => {
      await navigate("/launch");
      await queries.invalidateQueries({ queryKey: ["queues"] });
    },
  });
  const set = (key: string, value: Json | undefined) => {
    const rest = Object.fromEntries(Object.entries(policy).filter(([known]) => known !== key));
    setPolicy(value === undefined ? rest : { ...rest, [key]: value });
  };
  const retry = (policy.retry ?? {}) as { max?: number; on?: string[]; backoff_seconds?: number };
  const setRetry = (change: Partial<typeof retry>) => {
    const next = JSON.parse(JSON.stringify({ ...retry, ...change })) as JsonObject;
    // An empty block would be a retry by its defaults.
    set("retry", Object.keys(next).length > 0 ? next : undefined);
  };
  const asNumber = (typed: string) => (typed === "" ? undefined : Number(typed));

  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void config.parse().then((body) => body && save.mutate(body));
      }}
    >
      {save.isError && <Failure error={save.error} />}
      {!may && <p className="quiet">Only admins of {queue.entity} change a queue.</p>}
      <fieldset disabled={!may} className="stack" style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
        <ConfigField state={config} target={queue.target} />
        <h3>Limits and retries</h3>
        <div className="fields narrow">
          {numbers.map(([key, label, note]) => (
            <Field key={key} label={label} note={note}>
              {(tie) => <input {...tie} className="input" type="number" min={0} value={policy[key] === undefined || policy[key] === null ? "" : String(policy[key])} onChange={(event) => set(key, asNumber(event.target.value))} />}
            </Field>
          ))}
          <Field label="Retries" note="attempts after the first">
            {(tie) => <input {...tie} className="input" type="number" min={0} value={retry.max ?? ""} onChange={(event) => setRetry({ max: asNumber(event.target.value) })} />}
          </Field>
          <Field label="Submitters may set" note="paths of the configuration, such as memory, env; empty: what the target allows">
            {(tie) => <input {...tie} className="input" defaultValue={((policy.submitter_fields ?? []) as string[]).join(", ")} onBlur={(event) => event.target.value !== event.target.defaultValue && set("submitter_fields", words(event.target.value, undefined))} />}
          </Field>
          <Field label="Wait before a retry" note="seconds before the first retry, twice as many before each further one">
            {(tie) => <input {...tie} className="input" type="number" min={0} value={retry.backoff_seconds ?? ""} onChange={(event) => setRetry({ backoff_seconds: asNumber(event.target.value) })} />}
          </Field>
          <Field label="Retry on" note="lost, preempted, infrastructure, exit:<code>">
            {(tie) => (
              <input {...tie} className="input" defaultValue={(retry.on ?? []).join(", ")} onBlur={(event) => event.target.value !== event.target.defaultValue && setRetry({ on: words(event.target.value, []) })} />
            )}
          </Field>
        </div>
        <label className="row">
          <input type="checkbox" checked={priority} onChange={(event) => setPriority(event.target.checked)} />
          Items have a priority
        </label>
        <div className="row">
          <button type="submit" className="button primary" disabled={save.isPending}>
            Save
          </button>
          <span className="grow" />
          <button type="button" className="button danger" onClick={() => setDeleting(true)}>
            Delete queue…
          </button>
        </div>
      </fieldset>
      {remove.isError && <Failure error={remove.error} />}
      {deleting && (
        <Confirm title={`Delete ${queue.name}?`} action="Delete queue" typed={queue.name} onYes={() => remove.mutate()} onClose={() => setDeleting(false)}>
          <p>Its items go with it. This cannot be undone.</p>
        </Confirm>
      )}
    </form>
  );
}
