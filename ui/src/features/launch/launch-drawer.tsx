import { useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { type KeyboardEvent, useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { api, got, Problem } from "../../api/client";
import { jobQuery, jobsQuery, jobVersionQuery, jobVersionsQuery, projectsQuery, queuesQuery } from "../../api/queries";
import type { Item, JobVersion, Json, JsonObject, Plan, Queue } from "../../api/types";
import { useScope } from "../../app/scope";
import { Copy, Dialog, Field } from "../../components/parts";
import { Failure, Loading } from "../../components/view";
import { isLive } from "../queue/queue-state";
import { parseConfig, type Template, typedValue } from "../queue/templates";
import { begin, configOf, fieldsOf, launchBody, launchCommand, type LaunchSpec, leaves, partsOf, readEnv, shownValue, wholeOf, withPath } from "./inputs";
import { InputRow, PlanView, ProjectField, QueueNote, TemplateRow } from "./launch-fields";
import { PasteFrom } from "./paste-from";

interface JobName {
  entity: string;
  project: string;
  name: string;
  version: string;
}

/** `e/p/name:vN` in its parts. */
export function jobParts(job: string | null): JobName | null {
  const found = /^([^/]+)\/([^/]+)\/([^/:]+)(?::(.+))?$/.exec(job ?? "");
  return found ? { entity: found[1]!, project: found[2]!, name: found[3]!, version: found[4] ?? "latest" } : null;
}

/** A job in another version, as addresses name it: `same` leaves what the reference says. */
export function versionedJob(job: string | null, version: string): string | null {
  const parts = jobParts(job);
  return parts && version !== "same" ? `${parts.entity}/${parts.project}/${parts.name}:${version}` : job;
}

export interface LaunchProps {
  /** `e/p/name[:version]`, or null to choose one. */
  job: string | null;
  /** An item whose values the form begins with. */
  from?: Item;
  /** Inputs that the form begins with: a run's config. */
  inputs?: JsonObject;
  queue?: { entity: string; name: string };
  /** Hears which job and version is chosen, for the address. What is typed stays out of it: it may be a secret. */
  onJob?: (job: string) => void;
  onVersion?: (version: string) => void;
  onClose: () => void;
  /** Where to go with the new item; its drawer on the queue's page otherwise. */
  onLaunched?: (id: string) => void;
}

/** The launch drawer: choose, fill in, see what will run, send. A refused launch keeps everything that was typed. */
export function LaunchDrawer(props: LaunchProps) {
  const given = jobParts(props.job);
  const image = !props.job && props.from ? ((props.from.source?.image as string | undefined) ?? null) : null;
  const [job, setJob] = useState<JobName | null>(given);
  const title = job ? `Launch ${job.name}` : image ? `Launch ${image}` : "Launch a job";
  if (!job && !image) {
    return (
      <Dialog kind="drawer" title={title} name={title} onClose={props.onClose}>
        <ChooseJob
          onChoose={(chosen) => {
            setJob(chosen);
            props.onJob?.(`${chosen.entity}/${chosen.project}/${chosen.name}:${chosen.version}`);
          }}
          entity={props.queue?.entity}
        />
      </Dialog>
    );
  }
  return job ? <OfJob {...props} title={title} job={job} /> : <Form {...props} title={title} job={null} image={image} version={null} versions={[]} onVersion={() => undefined} />;
}

function ChooseJob({ onChoose, entity }: { onChoose: (job: JobName) => void; entity: string | undefined }) {
  const { one } = useScope();
  const owner = entity ?? one;
  const projects = useQuery(projectsQuery(owner));
  const jobs = useQueries({ queries: (projects.data ?? []).slice(0, 50).map((project) => jobsQuery(project.entity, project.name)) });
  const all = jobs.flatMap((query) => query.data ?? []);
  const [text, setText] = useState("");
  if (projects.isError) return <Failure error={projects.error} retry={() => void projects.refetch()} />;
  if (projects.isPending || jobs.some((query) => query.isPending)) return <Loading />;
  if (all.length === 0)
    return (
      <div className="empty">
        {owner} has no job yet. A finished run makes one, and so does <code>lanza job create</code>.
      </div>
    );
  return (
    <>
      <input className="input" type="search" aria-label="Filter jobs" placeholder="Filter" value={text} onChange={(event) => setText(event.target.value)} />
      <ul className="stack" style={{ gap: 4 }} aria-label="Jobs">
        {all
          .filter((job) => `${job.project}/${job.name}`.toLowerCase().includes(text.toLowerCase()))
          .slice(0, 100)
          .map((job) => (
            <li key={`${job.project}/${job.name}`}>
              <button type="button" className="button" style={{ width: "100%", justifyContent: "space-between" }} onClick={() => onChoose({ entity: job.entity, project: job.project, name: job.name, version: "latest" })}>
                <span className="cut">{job.name}</span>
                <span className="quiet">
                  {job.project} · {job.latest?.version ?? "–"}
                </span>
              </button>
            </li>
          ))}
      </ul>
    </>
  );
}

function OfJob(props: Omit<LaunchProps, "job"> & { title: string; job: JobName }) {
  const { job } = props;
  const [version, setVersion] = useState(job.version);
  const [draft, setDraft] = useState<Record<string, string> | null>(null);
  const choose = (next: string) => {
    setVersion(next);
    props.onVersion?.(next);
    props.onJob?.(`${job.entity}/${job.project}/${job.name}:${next}`);
  };
  const found = useQuery(jobQuery(job.entity, job.project, job.name));
  const versions = useQuery(jobVersionsQuery(job.entity, job.project, job.name));
  const one = useQuery(jobVersionQuery(job.entity, job.project, job.name, version));
  const failed = found.error ?? versions.error ?? one.error;
  if (failed || !one.data || !versions.data) {
    return (
      <Dialog kind="drawer" title={props.title} name={props.title} onClose={props.onClose}>
        {failed ? <Failure error={failed} retry={() => void Promise.all([found.refetch(), versions.refetch(), one.refetch()])} /> : <Loading height={320} />}
      </Dialog>
    );
  }
  return <Form key={one.data.id} {...props} job={job} image={null} version={one.data} versions={versions.data} onVersion={choose} draft={draft} onDraft={setDraft} />;
}

/** The queue that one probably means: of the same entity, and one that an agent serves. */
function likely(queues: Queue[], owner: string): Queue | undefined {
  const own = queues.filter((queue) => queue.entity === owner);
  const served = (queue: Queue) => queue.agents.some((agent) => isLive(agent.status));
  return own.find(served) ?? own[0] ?? queues.find(served) ?? queues[0];
}

interface FormProps extends Omit<LaunchProps, "job"> {
  title: string;
  image: string | null;
  version: JobVersion | null;
  versions: JobVersion[];
  onVersion: (version: string) => void;
  draft?: Record<string, string> | null;
  onDraft?: (typed: Record<string, string>) => void;
}

function Form(props: FormProps & { job: JobName | null }) {
  const { job, version, from, image } = props;
  const { entities, one } = useScope();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const schema = version?.inputs?.config ?? null;
  const fields = useMemo(() => fieldsOf(schema), [schema]);
  const given = (from?.inputs as JsonObject | undefined) ?? props.inputs;
  const jobKey = job ? `${job.entity}/${job.project}/${job.name}` : (image ?? "");
  const [typed, setTyped] = useState<Record<string, string>>(() => ({
    ...begin(fields, given),
    // What was typed for another version stays, where this one has the field.
    ...Object.fromEntries(Object.entries(props.draft ?? {}).filter(([key]) => fields.some((field) => field.path === key))),
  }));
  const [raw, setRaw] = useState<string | null>(() => {
    // Without known inputs, and for keys that no field has, there is the JSON.
    const rest = leaves(given ?? {}).filter(([path]) => !fields.some((field) => path === field.path || path.startsWith(`${field.path}.`)));
    if (rest.length > 0 && version?.inputs?.from !== "schema") return JSON.stringify(rest.reduce<JsonObject>((all, [path, value]) => withPath(all, path, value), {}), null, 2);
    return fields.length === 0 ? "" : null;
  });
  const owner = props.queue?.entity ?? from?.entity ?? job?.entity ?? one;
  const all = useQuery(queuesQuery(entities.includes(owner) ? [...new Set([owner, ...entities])] : entities));
  const [queueKey, setQueueKey] = useState(props.queue ? `${props.queue.entity}/${props.queue.name}` : from ? `${from.entity}/${from.queue}` : "");
  const mine = all.data ?? [];
  const queue = mine.find((known) => `${known.entity}/${known.name}` === queueKey) ?? (queueKey === "" ? likely(mine, owner) : undefined);
  const [priority, setPriority] = useState(from?.priority ?? "medium");
  const [project, setProject] = useState(from?.project ?? job?.project ?? "");
  const [name, setName] = useState(from?.name ?? "");
  const [templateTexts, setTemplateTexts] = useState<Record<string, string>>(() => Object.fromEntries(Object.entries(from?.template_variables ?? {}).map(([key, value]) => [key, shownValue(value as Json)])));
  const overridden = (from?.overrides ?? {}) as { entry_point?: string[]; args?: string[] };
  const [entryPoint, setEntryPoint] = useState((overridden.entry_point ?? []).join(" "));
  const [args, setArgs] = useState((overridden.args ?? []).join(" "));
  const [resources, setResources] = useState(() => (from && Object.keys(from.config.item).length > 0 ? JSON.stringify(from.config.item, null, 2) : ""));
  const [env, setEnv] = useState("");
  const [rebuild, setRebuild] = useState(false);
  const [shown, setShown] = useState(false);

  const templates = (queue?.templates ?? {}) as Record<string, Template>;
  // While the JSON of all inputs is open it is what counts; the form gets it back when one returns to it.
  const [whole, setWhole] = useState<string | null>(null);
  const wholeParsed = whole === null ? null : parseConfig(whole);
  const parts = wholeParsed?.config ? partsOf(fields, wholeParsed.config) : null;
  const { config, errors } = configOf(fields, parts?.typed ?? typed);
  const rawParsed = parts ? { config: parts.rest } : raw === null ? { config: {} as JsonObject } : parseConfig(raw);
  const toForm = () => {
    if (parts) {
      setTyped(parts.typed);
      setRaw(Object.keys(parts.rest).length > 0 ? JSON.stringify(parts.rest, null, 2) : fields.length === 0 ? "" : null);
    }
    // JSON that cannot be read stays where it can be mended.
    if (!wholeParsed?.error) setWhole(null);
  };
  const extra = parseConfig(resources);
  const takesEnv = ["docker", "process"].includes(queue?.target ?? "");
  const envRead = takesEnv ? readEnv(env) : {};
  const templateErrors: Record<string, string> = {};
  const templateValues: JsonObject = {};
  for (const [key, template] of Object.entries(templates)) {
    const text = templateTexts[key] ?? "";
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

  const launch = useMutation({
    mutationFn: async (): Promise<Item> => {
      const answer = await got(api.POST("/api/v1/entities/{entity}/queues/{queue}/items", { params: { path }, body: body as never }));
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
    if (!wrong && !launch.isPending) launch.mutate();
  };
  const type = (path: string, text: string) => {
    const next = { ...typed, [path]: text };
    setTyped(next);
    // What the server said was about the value before.
    if (launch.isError) launch.reset();
    props.onDraft?.(next);
  };
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
      onClose={props.onClose}
      foot={
        <>
          <span className="grow small" style={{ color: "var(--red)" }} role="status">
            {tried && wrong ? (queue ? "Something above is not right yet." : "Choose a queue.") : ""}
          </span>
          <Copy text={launchCommand(spec)} what="Copy as command" label="Copy as command" />
          <button type="button" className="button primary" disabled={launch.isPending} onClick={send}>
            Launch <span aria-hidden="true">⌘↵</span>
          </button>
        </>
      }
    >
      {/* Ctrl-Enter sends from anywhere in the drawer. */}
      {/* eslint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div className="stack" style={{ gap: 16 }} onKeyDown={onKey}>
        {launch.isError && <Failure error={launch.error} />}
        {version && (
          <div className="row" style={{ alignItems: "end" }}>
            <div className="grow">
              <Field label="Version">
                {(tie) => (
                  <select {...tie} className="select" value={version.version} onChange={(event) => props.onVersion(event.target.value)}>
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
              onPaste={(values) => {
                const pasted = partsOf(fields, values);
                setTyped(pasted.typed);
                setRaw(Object.keys(pasted.rest).length > 0 ? JSON.stringify(pasted.rest, null, 2) : fields.length === 0 ? "" : null);
                setWhole(null);
              }}
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
              <button type="button" aria-pressed={whole !== null} onClick={() => whole === null && setWhole(JSON.stringify(wholeOf(fields, typed, rawParsed.config ?? {}), null, 2))}>
                JSON
              </button>
            </span>
          </div>
        )}
        {fields.length > 0 && whole !== null && (
          <Field label="All inputs" error={wholeParsed?.error ?? serverError("run_config") ?? null} note="One object: what the form shows and more. Keys that have the job's own value are not sent.">
            {(tie) => <textarea {...tie} className="area" rows={Math.min(24, whole.split("\n").length + 1)} spellCheck={false} value={whole} onChange={(event) => setWhole(event.target.value)} />}
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
                {(tie) => <textarea {...tie} className="area" rows={5} spellCheck={false} value={raw ?? ""} onChange={(event) => setRaw(event.target.value)} />}
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
            <select {...tie} className="select" value={queue ? `${queue.entity}/${queue.name}` : queueKey} onChange={(event) => setQueueKey(event.target.value)}>
              {!queue && <option value={queueKey}>{queueKey || "–"}</option>}
              {mine.map((known) => (
                <option key={known.id} value={`${known.entity}/${known.name}`}>
                  {entities.length > 1 ? `${known.entity} / ${known.name}` : known.name} · {known.target ?? "per item"}
                </option>
              ))}
            </select>
          )}
        </Field>
        {Object.entries(templates).map(([key, template]) => (
          <TemplateRow key={key} name={key} template={template} text={templateTexts[key] ?? ""} error={serverError(key) ?? templateErrors[key]} onText={(text) => {
              setTemplateTexts({ ...templateTexts, [key]: text });
              if (launch.isError) launch.reset();
            }} />
        ))}
        <div className="fields narrow">
          <Field label="Priority" note={queue && !queue.priority ? "This queue has none." : undefined}>
            {(tie) => (
              <select {...tie} className="select" value={priority} disabled={queue ? !queue.priority : false} onChange={(event) => setPriority(event.target.value)}>
                {["critical", "high", "medium", "low"].map((word) => (
                  <option key={word}>{word}</option>
                ))}
              </select>
            )}
          </Field>
          <ProjectField entity={spec.entity} value={project} onValue={setProject} />
          <Field label="Run name">{(tie) => <input {...tie} className="input" value={name} onChange={(event) => setName(event.target.value)} />}</Field>
        </div>

        <details>
          <summary>Overrides: entry point, arguments, environment, resources, build</summary>
          <div className="stack" style={{ paddingTop: 8 }}>
            <Field label="Entry point" note={version ? `The job's: ${version.entrypoint.join(" ") || "its image's"}` : undefined}>
              {(tie) => <input {...tie} className="input mono" value={entryPoint} onChange={(event) => setEntryPoint(event.target.value)} />}
            </Field>
            <Field label="Arguments" note="As a shell would read them.">
              {(tie) => <input {...tie} className="input mono" value={args} onChange={(event) => setArgs(event.target.value)} />}
            </Field>
            {takesEnv && (
              <Field label="Environment" error={envRead.error ?? serverError("env") ?? null} note="NAME=value, one a line. Secrets by name: NAME=secret:NAME.">
                {(tie) => <textarea {...tie} className="area" rows={2} spellCheck={false} value={env} onChange={(event) => setEnv(event.target.value)} />}
              </Field>
            )}
            <Field label="Resource configuration" error={extra.error ?? null} note={`JSON, merged over the queue's: what stands below resource_args.${spec.resource ?? "…"}`}>
              {(tie) => <textarea {...tie} className="area" rows={4} spellCheck={false} value={resources} onChange={(event) => setResources(event.target.value)} />}
            </Field>
            {job && (
              <label className="row wrap">
                <input type="checkbox" checked={rebuild} onChange={(event) => setRebuild(event.target.checked)} />
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
    </Dialog>
  );
}
