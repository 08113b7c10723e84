import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { api, got, isAt, Problem, refusedField, whyAt } from "../../api/client";
import { queueQuery } from "../../api/queries";
import type { JsonObject, Queue } from "../../api/types";
import { useMay } from "../../app/scope";
import { say, warn } from "../../components/notice";
import { Confirm, Field } from "../../components/parts";
import { useRefusal } from "../../components/refused";
import { Failure } from "../../components/view";
import { count } from "../../format/text";
import { ConfigField, type ConfigText, configText, hintsAbout, useConfig } from "./config-field";
import { readConfig } from "./config-text";
import { keepDraft, keptDraft } from "./kept-drafts";
import { policyFields, type PolicyText, policyText, readPolicy } from "./policy-text";
import { QueueConflict } from "./queue-conflict";
import { type Settings, settingsOf } from "./queue-difference";
import { QueueHistory } from "./queue-history";
import { readTiles, tilesFor } from "./template-text";
import { type Template, templateNames } from "./templates";

/** All that stands in the fields. */
interface Typed {
  config: ConfigText;
  policy: PolicyText;
  priority: boolean;
}

/** What was typed, and over which settings. */
interface Draft {
  base: Queue;
  typed: Typed;
}

const draftKey = (queue: Queue) => `config ${queue.id}`;

const textOf = (queue: Queue): Typed => ({
  config: configText(queue.config as JsonObject, queue.templates as unknown as Record<string, Template>),
  policy: policyText(queue.policy as JsonObject),
  priority: queue.priority,
});

/** The queue's layer of the configuration, its templates, limits and retries, and who changed them. */
export function QueueConfig({ queue }: { queue: Queue }) {
  // A form that begins anew: another queue, or other settings of it.
  const [begun, setBegun] = useState({ times: 0, from: queue });
  const from = begun.from.id === queue.id ? begun.from : queue;
  const begin = useCallback((next: Queue) => setBegun((last) => ({ times: last.times + 1, from: next })), []);
  return (
    <div className="columns">
      <Editor key={`${queue.id} ${begun.times}`} from={from} queue={queue} onBegin={begin} />
      <QueueHistory queue={queue} />
    </div>
  );
}

/** `from` is what the form begins with, `queue` what the server has by now. */
function Editor({ from, queue, onBegin }: { from: Queue; queue: Queue; onBegin: (next: Queue) => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const may = useMay(queue.entity, "admin");
  const [begun] = useState<Draft>(() => keptDraft<Draft>(draftKey(queue)) ?? { base: from, typed: textOf(from) });
  const [base, setBase] = useState(begun.base);
  const config = useConfig(begun.typed.config, (parsed) => hintsAbout(queue.entity, { name: queue.name, target: queue.target ?? null, ...parsed }));
  const [policy, setPolicy] = useState(begun.typed.policy);
  const [priority, setPriority] = useState(begun.typed.priority);
  const [deleting, setDeleting] = useState(false);
  // Counts what could not be read, so that each try leads to its field.
  const [unread, setUnread] = useState(0);
  const form = useRef<HTMLFormElement>(null);
  const path = { entity: queue.entity, queue: queue.name };

  const { text, tiles } = config;
  const typed: Typed = { config: { text, tiles }, policy, priority };
  const [saved, setSaved] = useState(() => JSON.stringify(textOf(begun.base)));
  const dirty = JSON.stringify(typed) !== saved;
  useEffect(() => keepDraft(draftKey(queue), dirty ? { base, typed } : undefined));

  const changed = queue.revision !== base.revision;
  // Who has typed nothing sees what is there now; who has is asked.
  useEffect(() => {
    if (changed && !dirty) onBegin(queue);
  }, [changed, dirty, queue, onBegin]);

  /** Changes the settings where they are still those of `over`. */
  const put = async (settings: Settings, over: Queue) => {
    const { config, templates, policy, priority } = settings as unknown as Pick<Queue, "config" | "templates" | "policy" | "priority">;
    const answer = await got(
      api.PATCH("/api/v1/entities/{entity}/queues/{queue}", { params: { path, header: { "If-Match": over.revision ? `"${over.revision}"` : "*" } }, body: { config, templates, policy, priority } }),
    );
    warn(answer.warnings ?? []);
    // An answer on its way may still be of before.
    await queries.cancelQueries({ queryKey: ["queue"] });
    queries.setQueryData(queueQuery(queue.entity, queue.name).queryKey, answer.queue);
    void queries.invalidateQueries({ queryKey: ["queue"] });
    void queries.invalidateQueries({ queryKey: ["queues"] });
    return answer.queue;
  };
  const save = useMutation({
    mutationFn: async ({ settings, over, sent }: { settings: Settings; over: Queue; sent: Typed }) => ({ after: await put(settings, over), over, sent }),
    onSuccess: ({ after, over, sent }) => {
      setBase(after);
      setSaved(JSON.stringify(sent));
      say(`Saved ${after.name}. Items that are pushed from now on get it.`, async () => onBegin(await put(settingsOf(over), after)));
    },
    // What came in between is shown with the question which of the two counts.
    onError: (error) => (error instanceof Problem && error.code === "changed_since" ? queries.invalidateQueries({ queryKey: ["queue"] }) : undefined),
  });
  const send = async (over: Queue) => {
    const read = await config.parse();
    if (!read) return setUnread((times) => times + 1);
    const settings = { config: read.config, templates: read.templates as unknown as JsonObject, policy: readPolicy(policy, base.policy as JsonObject), priority };
    save.mutate({ settings, over, sent: { ...typed, config: { text, tiles: tilesFor(templateNames(read.config), tiles) } } });
  };
  const discard = () => {
    keepDraft(draftKey(queue), undefined);
    onBegin(queue);
  };
  const mine = useCallback(async (): Promise<Settings | null> => {
    const { config: read } = await readConfig(text);
    const templates = read && readTiles(tilesFor(templateNames(read), tiles));
    return read && templates ? { config: read, templates: templates as unknown as JsonObject, policy: readPolicy(policy, base.policy as JsonObject), priority } : null;
  }, [text, tiles, policy, priority, base]);
  const remove = useMutation({
    mutationFn: async () => api.DELETE("/api/v1/entities/{entity}/queues/{queue}", { params: { path } }),
    onSuccess: async () => {
      keepDraft(draftKey(queue), undefined);
      await navigate("/launch");
      await queries.invalidateQueries({ queryKey: ["queues"] });
    },
  });

  const refused = refusedField(save.error);
  const atPolicy = (key: string) => (refused && isAt(refused, `policy.${key}`) ? whyAt(refused, `policy.${key}`) : null);
  const atField = refused !== null && (isAt(refused, "config") || isAt(refused, "templates") || policyFields.some((field) => atPolicy(field.path) !== null));
  const asked = changed && dirty;
  const late = save.error instanceof Problem && save.error.code === "changed_since";
  useRefusal(form, save.error);
  useRefusal(form, unread);

  return (
    <form
      ref={form}
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void send(base);
      }}
      // What was refused was said about what stood there before.
      onInput={() => save.isError && save.reset()}
    >
      {!may && <p className="quiet">Only admins of {queue.entity} change a queue.</p>}
      <fieldset disabled={!may} className="stack" style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
        <ConfigField state={config} target={queue.target} refused={refused} />
        <h3>Limits and retries</h3>
        <div className="fields narrow">
          {policyFields.map(({ path: key, label, note, kind }) => (
            <Field key={key} label={label} note={note} error={atPolicy(key)}>
              {(tie) => <input {...tie} className="input" {...(kind === "number" ? { type: "number", min: 0 } : {})} value={policy[key]} onChange={(event) => setPolicy({ ...policy, [key]: event.target.value })} />}
            </Field>
          ))}
        </div>
        <label className="row">
          <input type="checkbox" checked={priority} onChange={(event) => setPriority(event.target.checked)} />
          Items have a priority
        </label>
        {asked && <QueueConflict seen={settingsOf(base)} now={queue} mine={mine} busy={save.isPending} onTake={discard} onSaveOver={() => void send(queue)} />}
        {save.isError && !atField && !(late && asked) && <Failure error={save.error} />}
        <div className="row">
          <button type="submit" className="button primary" disabled={save.isPending}>
            Save
          </button>
          {dirty && may && (
            <>
              <button type="button" className="button" onClick={discard}>
                Discard changes
              </button>
              <span className="quiet">Not saved yet.</span>
            </>
          )}
          <span className="grow" />
          <button type="button" className="button danger" onClick={() => setDeleting(true)}>
            Delete queue…
          </button>
        </div>
      </fieldset>
      {remove.isError && <Failure error={remove.error} />}
      {deleting && (
        <Confirm title={`Delete ${queue.name}?`} action="Delete queue" typed={queue.name} onYes={() => remove.mutate()} onClose={() => setDeleting(false)}>
          <DeletedWith queue={queue} />
        </Confirm>
      )}
    </form>
  );
}

/** What goes with a queue, and what stays. */
function DeletedWith({ queue }: { queue: Queue }) {
  const waiting = queue.counts.queued ?? 0;
  const held = (queue.counts.leased ?? 0) + (queue.counts.running ?? 0);
  return (
    <>
      {held > 0 && <p>{count(held, "item")} of it {held === 1 ? "is" : "are"} with an agent. It can be deleted when {held === 1 ? "that has" : "those have"} ended.</p>}
      <p>
        {waiting === 0 ? "Nothing waits in it." : `${count(waiting, "item")} that ${waiting === 1 ? "waits ends" : "wait end"} as stopped.`} Items that have ended can still be read. This cannot be undone.
      </p>
    </>
  );
}
