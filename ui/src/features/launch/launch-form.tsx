/** The launch form: fields, queue, overrides, what will run. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";
import { api, got, Problem, problemOf } from "../../api/client";
import { queuesQuery } from "../../api/queries";
import type { Item, JobVersion, JsonObject, Plan } from "../../api/types";
import { useScope } from "../../app/scope";
import { Confirm, Copy, Dialog, Field } from "../../components/parts";
import { Failure, Loading } from "../../components/view";
import { likely } from "../queue/queue-state";
import { parseConfig, type Template, typedValue } from "../queue/templates";
import { attemptKey, type DraftState } from "./draft";
import { begin, configOf, fieldsOf, launchBody, launchCommand, type LaunchSpec, leaves, partsOf, readEnv, wholeOf, withPath } from "./inputs";
import type { JobName, LaunchProps } from "./launch-drawer";
import { InputRow, PlanView, ProjectField, QueueNote, TemplateRow } from "./launch-fields";
import { PasteFrom } from "./paste-from";

interface FormProps extends Omit<LaunchProps, "job"> {
  title: string;
  job: JobName | null;
  image: string | null;
  draft: DraftState;
  version: JobVersion | null;
  versions: JobVersion[];
  /** The version that was chosen; it may be on its way. */
  chosen: string;
  waiting: boolean;
  onVersion: (version: string) => void;
}

/** The form of one version of a job, or of an image. */
export function LaunchForm(props: FormProps) {
  const { job, version, from, image, draft } = props;
  const { priority, name, entryPoint, args, resources, env, rebuild, whole } = draft;
  const { entities, one } = useScope();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const schema = version?.inputs?.config ?? null;
  const fields = useMemo(() => fieldsOf(schema), [schema]);
  const given = (from?.inputs as JsonObject | undefined) ?? props.inputs;
  const jobKey = job ? `${job.entity}/${job.project}/${job.name}` : (image ?? "");
  const begun = useMemo(() => begin(fields, given), [fields, given]);
  // What was typed for another version stays, where this one has the field.
  const typed = useMemo(() => ({ ...begun, ...Object.fromEntries(Object.entries(draft.typed).filter(([key]) => fields.some((field) => field.path === key))) }), [begun, draft.typed, fields]);
  const raw = useMemo(() => {
    if (draft.raw !== undefined) return draft.raw;
    // Without known inputs, and for keys that no field has, there is the JSON.
    const { rest } = partsOf(fields, given ?? {});
    if (Object.keys(rest).length > 0 && version?.inputs?.from !== "schema") return JSON.stringify(rest, null, 2);
    return fields.length === 0 ? "" : null;
  }, [draft.raw, fields, given, version]);
  const put = (parts: { typed: Record<string, string>; rest: JsonObject }) => draft.set({ typed: parts.typed, raw: Object.keys(parts.rest).length > 0 ? JSON.stringify(parts.rest, null, 2) : "", whole: null });
  const owner = props.queue?.entity ?? from?.entity ?? job?.entity ?? one;
  const all = useQuery(queuesQuery(entities.includes(owner) ? [...new Set([owner, ...entities])] : entities));
  const mine = all.data ?? [];
  const queue = mine.find((known) => `${known.entity}/${known.name}` === draft.queue) ?? (draft.queue === "" ? likely(mine, owner) : undefined);
  const project = draft.project ?? job?.project ?? "";
  const [shown, setShown] = useState(false);

  const templates = (queue?.templates ?? {}) as Record<string, Template>;
  const wholeParsed = whole === null ? null : parseConfig(whole);
  const parts = wholeParsed?.config ? partsOf(fields, wholeParsed.config) : null;
  // The script may know nothing of what a schema says by itself.
  const { config, errors } = configOf(fields, parts?.typed ?? typed, version?.inputs?.from === "schema");
  const rawParsed = parts ? { config: parts.rest } : raw === null ? { config: {} as JsonObject } : parseConfig(raw);
  const toForm = () => {
    if (parts) put(parts);
    // JSON that cannot be read stays where it can be mended.
    else if (!wholeParsed?.error) draft.set({ whole: null });
  };
  const extra = parseConfig(resources);
  const takesEnv = ["docker", "process"].includes(queue?.target ?? "");
  const envRead = takesEnv ? readEnv(env) : {};
  const templateErrors: Record<string, string> = {};
  const templateValues: JsonObject = {};
  for (const [key, template] of Object.entries(templates)) {
    const text = draft.templates[key] ?? "";
    const { value, error } = typedValue(template.type, text);
    if (error) templateErrors[key] = error;
    else if (value !== undefined) templateValues[key] = value;
  }
  const spec: LaunchSpec = {
    job: version?.reference ?? (job ? `${jobKey}:${job.version}` : null),
    image,
    entity: queue?.entity ?? owner,
    queue: queue?.name ?? "",
    project: project || job?.project || "uncategorized",
    name,
    priority: queue?.priority ? priority : null,
    config: leaves(rawParsed.config ?? {}).reduce<JsonObject>((all, [path, value]) => withPath(all, path, value), config),
    templates: templateValues,
    entryPoint,
    args,
    resources: envRead.env ? { ...extra.config, env: envRead.env } : (extra.config ?? {}),
    resource: queue?.target ?? from?.target ?? null,
    rebuild,
  };
  const wrong = Object.keys(errors).length + Object.keys(templateErrors).length > 0 || Boolean(rawParsed.error ?? wholeParsed?.error ?? extra.error ?? envRead.error) || !queue;
  const body = launchBody(spec);
  const path = { entity: spec.entity, queue: spec.queue };

  const plan = useQuery({
    queryKey: ["plan", path.entity, path.queue, body],
    queryFn: async (): Promise<Plan> => {
      const answer = await got(api.POST("/api/v1/entities/{entity}/queues/{queue}/items", { params: { path, query: { plan: true } }, body: body as never }));
      return (answer as unknown as { plan: Plan }).plan;
    },
    enabled: shown && !wrong,
    retry: false,
  });

  const attempt = useRef<{ text: string; key: string } | null>(null);
  const launch = useMutation({
    mutationFn: async (): Promise<Item> => {
      // The answer of the same attempt may have been lost.
      const text = JSON.stringify([path, body]);
      if (attempt.current?.text !== text) attempt.current = { text, key: attemptKey() };
      const answer = await got(api.POST("/api/v1/entities/{entity}/queues/{queue}/items", { params: { path }, body: { ...body, idempotency_key: attempt.current.key } as never }));
      return (answer as unknown as { item: Item }).item;
    },
    onSuccess: async (item) => {
      void queries.invalidateQueries({ queryKey: ["items"] });
      void queries.invalidateQueries({ queryKey: ["queues"] });
      props.onClose();
      if (props.onLaunched) props.onLaunched(item.id);
      else await navigate(`/launch/${item.entity}/${item.queue}/items?item=${item.id}`);
    },
  });
  const serverFields = launch.error instanceof Problem ? launch.error.fields : [];
  // The message repeats the path, which stands beside the field already.
  const serverError = (path: string) => serverFields.find((field) => field.path === path || field.path.endsWith(`.${path}`))?.message.replace(/^`[^`]+` /, "");
  const [tried, setTried] = useState(false);
  const send = () => {
    setTried(true);
    if (!wrong && !launch.isPending && !props.waiting) launch.mutate();
  };
  const type = (path: string, text: string) => {
    const others = Object.fromEntries(Object.entries(draft.typed).filter(([key]) => key !== path));
    draft.set({ typed: text === begun[path] ? others : { ...others, [path]: text } });
    // What the server said was about the value before.
    if (launch.isError) launch.reset();
  };
  const [leaving, setLeaving] = useState(false);
  const close = () => (draft.dirty ? setLeaving(true) : props.onClose());
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  };

  return (
    <Dialog
      kind="drawer"
      title={props.title}
      name={props.title}
      onClose={close}
      foot={
        <>
          <span className="grow small" style={{ color: "var(--red)" }} role="status">
            {tried && wrong ? (queue ? "Something above is not right yet." : "Choose a queue.") : ""}
          </span>
          <Copy text={launchCommand(spec)} what="Copy as command" label="Copy as command" />
          <button type="button" className="button primary" disabled={launch.isPending || props.waiting} onClick={send}>
            Launch <span aria-hidden="true">⌘↵</span>
          </button>
        </>
      }
    >
      {/* Ctrl-Enter sends from anywhere in the drawer. */}
      {/* eslint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div className="stack" style={{ gap: 16 }} onKeyDown={onKey}>
        {launch.isError && <Failure error={launch.error} {...(problemOf(launch.error).status === 0 ? { retry: send } : {})} />}
        {version && (
          <div className="row" style={{ alignItems: "end" }}>
            <div className="grow">
              <Field label="Version">
                {(tie) => (
                  <select {...tie} className="select" value={props.versions.some((one) => one.version === props.chosen) ? props.chosen : version.version} onChange={(event) => props.onVersion(event.target.value)}>
                    {props.versions.map((one) => (
                      <option key={one.id} value={one.version}>
                        {one.version}
                        {one.aliases.length > 0 ? ` · ${one.aliases.join(", ")}` : ""}
                      </option>
                    ))}
                  </select>
                )}
              </Field>
            </div>
            <PasteFrom
              job={jobKey}
              entity={spec.entity}
              project={spec.project}
              onPaste={(values) => put(partsOf(fields, values))}
            />
          </div>
        )}

        {fields.length > 0 && (
          <div className="section-head">
            <h3 className="grow">Inputs</h3>
            <span className="switch" role="group" aria-label="Inputs as">
              <button type="button" aria-pressed={whole === null} onClick={toForm}>
                Form
              </button>
              <button type="button" aria-pressed={whole !== null} onClick={() => whole === null && draft.set({ whole: JSON.stringify(wholeOf(fields, typed, rawParsed.config ?? {}), null, 2) })}>
                JSON
              </button>
            </span>
          </div>
        )}
        {fields.length > 0 && whole !== null && (
          <Field label="All inputs" error={wholeParsed?.error ?? serverError("run_config") ?? null} note={`One object: what the form shows and more.${version?.inputs?.from === "schema" ? "" : " Keys that have the job's own value are not sent."}`}>
            {(tie) => <textarea {...tie} className="area" rows={Math.min(24, whole.split("\n").length + 1)} spellCheck={false} value={whole} onChange={(event) => draft.set({ whole: event.target.value })} />}
          </Field>
        )}
        {fields.length > 0 && whole === null && (
          <div className="fields">
            {fields.map((field) => (
              <InputRow key={field.path} field={field} text={typed[field.path] ?? ""} error={serverError(field.path) ?? (tried || typed[field.path] ? errors[field.path] : undefined)} onText={(text) => type(field.path, text)} />
            ))}
          </div>
        )}
        {version?.inputs?.from === "unknown" && <p className="quiet">The inputs of this job are known after its first run. Until then everything is taken.</p>}
        {whole === null && (
          <details open={raw !== null && raw !== ""}>
            <summary>{fields.length > 0 ? "More values as JSON" : "Values for wandb.config as JSON"}</summary>
            <div style={{ paddingTop: 8 }}>
              <Field label="Raw JSON" error={raw === null ? null : (rawParsed.error ?? null)} note="An object: its keys go into wandb.config, over the fields above.">
                {(tie) => <textarea {...tie} className="area" rows={5} spellCheck={false} value={raw ?? ""} onChange={(event) => draft.set({ raw: event.target.value })} />}
              </Field>
            </div>
          </details>
        )}

        <Field
          label="Queue"
          error={tried && !queue ? "Choose a queue." : null}
          note={queue ? <QueueNote queue={queue} /> : mine.length === 0 && all.isSuccess ? <Link to="/launch">There is no queue yet: create one.</Link> : null}
        >
          {(tie) => (
            <select {...tie} className="select" value={queue ? `${queue.entity}/${queue.name}` : draft.queue} onChange={(event) => draft.set({ queue: event.target.value })}>
              {!queue && <option value={draft.queue}>{draft.queue || "–"}</option>}
              {mine.map((known) => (
                <option key={known.id} value={`${known.entity}/${known.name}`}>
                  {entities.length > 1 ? `${known.entity} / ${known.name}` : known.name} · {known.target ?? "per item"}
                </option>
              ))}
            </select>
          )}
        </Field>
        {Object.entries(templates).map(([key, template]) => (
          <TemplateRow key={key} name={key} template={template} text={draft.templates[key] ?? ""} error={serverError(key) ?? templateErrors[key]} onText={(text) => {
              draft.set({ templates: { ...draft.templates, [key]: text } });
              if (launch.isError) launch.reset();
            }} />
        ))}
        <div className="fields narrow">
          <Field label="Priority" note={queue && !queue.priority ? "This queue has none." : undefined}>
            {(tie) => (
              <select {...tie} className="select" value={priority} disabled={queue ? !queue.priority : false} onChange={(event) => draft.set({ priority: event.target.value })}>
                {["critical", "high", "medium", "low"].map((word) => (
                  <option key={word}>{word}</option>
                ))}
              </select>
            )}
          </Field>
          <ProjectField entity={spec.entity} value={project} onValue={(text) => draft.set({ project: text })} />
          <Field label="Run name">{(tie) => <input {...tie} className="input" value={name} onChange={(event) => draft.set({ name: event.target.value })} />}</Field>
        </div>

        <details>
          <summary>Overrides: entry point, arguments, environment, resources, build</summary>
          <div className="stack" style={{ paddingTop: 8 }}>
            <Field label="Entry point" note={version ? `The job's: ${version.entrypoint.join(" ") || "its image's"}` : undefined}>
              {(tie) => <input {...tie} className="input mono" value={entryPoint} onChange={(event) => draft.set({ entryPoint: event.target.value })} />}
            </Field>
            <Field label="Arguments" note="As a shell would read them.">
              {(tie) => <input {...tie} className="input mono" value={args} onChange={(event) => draft.set({ args: event.target.value })} />}
            </Field>
            {takesEnv && (
              <Field label="Environment" error={envRead.error ?? serverError("env") ?? null} note="NAME=value, one a line. Secrets by name: NAME=secret:NAME.">
                {(tie) => <textarea {...tie} className="area" rows={2} spellCheck={false} value={env} onChange={(event) => draft.set({ env: event.target.value })} />}
              </Field>
            )}
            <Field label="Resource configuration" error={extra.error ?? null} note={`JSON, merged over the queue's: what stands below resource_args.${spec.resource ?? "…"}`}>
              {(tie) => <textarea {...tie} className="area" rows={4} spellCheck={false} value={resources} onChange={(event) => draft.set({ resources: event.target.value })} />}
            </Field>
            {job && (
              <label className="row wrap">
                <input type="checkbox" checked={rebuild} onChange={(event) => draft.set({ rebuild: event.target.checked })} />
                Build anew <span className="quiet small">Its environment is made again, and packages without a version are resolved again.</span>
              </label>
            )}
          </div>
        </details>

        <details open={shown} onToggle={(event) => setShown(event.currentTarget.open)}>
          <summary>What will run</summary>
          <div className="stack" style={{ paddingTop: 8 }}>
            {wrong ? <p className="quiet">Fill in the fields above first.</p> : plan.isError ? <Failure error={plan.error} retry={() => void plan.refetch()} /> : plan.data ? <PlanView plan={plan.data} inputs={spec.config} /> : <Loading height={100} />}
          </div>
        </details>
      </div>
      {leaving && (
        <Confirm title="Leave without launching?" action="Leave" onYes={props.onClose} onClose={() => setLeaving(false)}>
          <p>What you filled in is not kept.</p>
        </Confirm>
      )}
    </Dialog>
  );
}
