import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { api } from "../../api/client";
import { itemQuery, runJobQuery } from "../../api/queries";
import type { Attempt, Run } from "../../api/types";
import { useAddress } from "../../app/address";
import { useMay } from "../../app/scope";
import { Markdown } from "../../components/markdown-view";
import { Ago, Copy, Field, Id } from "../../components/parts";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { Tree } from "../../components/tree";
import { Failure, View } from "../../components/view";
import { bytes, duration } from "../../format/text";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";
import { jobAddress } from "../item/item-columns";
import { commandLine, metadataQuery } from "./metadata";
import { RunFacts } from "./run-facts";

/** What a run is: who, when, where, with what, from which job and item. */
export function Overview({ run }: { run: Run }) {
  const job = useQuery(runJobQuery(run.entity, run.project, run.id));
  const git = run.git as { remote?: string; commit?: string } | null | undefined;
  const [search, change] = useAddress();
  const item = search.get("item");
  const setItem = (id: string | null) => change((params) => putItem(params, id));
  const shown = run.exact ?? run;
  const settings = Object.fromEntries(Object.entries(shown.config).filter(([key]) => !key.startsWith("_")));
  const results = Object.fromEntries(Object.entries(shown.summary).filter(([key]) => !key.startsWith("_")));
  const reference = run.job ?? job.data?.job ?? null;
  const address = reference ? jobAddress(reference) : null;
  return (
    <>
      <dl className="facts" style={{ maxWidth: 900 }}>
        <dt>Id</dt>
        <dd>
          <Id id={run.id} length={12} />
        </dd>
        <RunFacts run={run} />
        {git && (git.commit || git.remote) && (
          <>
            <dt>Git</dt>
            <dd>
              {git.remote} <code>{git.commit}</code> {git.commit && <Copy text={git.commit} what="Copy commit" />}
            </dd>
          </>
        )}
        {run.item && (
          <>
            <dt>Launched by</dt>
            <dd>
              <button type="button" className="link mono" onClick={() => setItem(run.item ?? null)}>
                item {run.item}
              </button>
              {run.attempt ? `, attempt ${run.attempt}` : ""}
            </dd>
          </>
        )}
        <dt>Job</dt>
        <dd>
          {reference ? (
            address ? <Link to={address}>{reference}</Link> : <code>{reference}</code>
          ) : (
            <span className="quiet">{job.data?.why ?? "none"}</span>
          )}
        </dd>
        {run.group && (
          <>
            <dt>Group</dt>
            <dd>{run.group}</dd>
          </>
        )}
        {run.job_type && (
          <>
            <dt>Job type</dt>
            <dd>{run.job_type}</dd>
          </>
        )}
        <Machine run={run} />
        <dt>Tags</dt>
        <dd>
          <Tags run={run} />
        </dd>
        <dt>Steps</dt>
        <dd>{run.history_rows.toLocaleString("en-US")} rows of history</dd>
      </dl>
      <Notes key={`${run.id}${run.notes}`} run={run} />
      <div className="columns" style={{ gridTemplateColumns: "repeat(auto-fit, minmax(min(360px, 100%), 1fr))" }}>
        <section className="stack">
          <h2>Config</h2>
          <Tree name="Config" value={settings} search />
        </section>
        <section className="stack">
          <h2>Summary</h2>
          <Tree name="Summary" value={results} search rounded />
        </section>
      </div>
      {run.item && <Attempts item={run.item} onOpen={setItem} />}
      {item && <ItemDrawer id={item} onShow={setItem} />}
    </>
  );
}

/** What the client wrote down about its machine. */
function Machine({ run }: { run: Run }) {
  const query = useQuery(metadataQuery(run));
  const data = query.data;
  if (!data) return null;
  const command = commandLine(data);
  const machine = [
    data.os,
    data.cpu_count ? `${data.cpu_count} CPUs` : null,
    data.memory?.total ? bytes(Number(data.memory.total)) : null,
    data.gpu ? `${data.gpu_count && data.gpu_count > 1 ? `${data.gpu_count} × ` : ""}${data.gpu}` : null,
  ].filter(Boolean);
  return (
    <>
      {command && (
        <>
          <dt>Command</dt>
          <dd>
            <code>{command}</code> <Copy text={command} what="Copy command" />
          </dd>
        </>
      )}
      {data.python && (
        <>
          <dt>Python</dt>
          <dd>{data.python}</dd>
        </>
      )}
      {machine.length > 0 && (
        <>
          <dt>Machine</dt>
          <dd>{machine.join(" · ")}</dd>
        </>
      )}
    </>
  );
}

/** Tries at the item that launched the run. */
function Attempts({ item: id, onOpen }: { item: string; onOpen: (id: string) => void }) {
  const item = useQuery(itemQuery(id));
  return (
    <section className="stack" aria-label="Attempts">
      <h2>Attempts</h2>
      <View query={item} height={64}>
        {(data) => (
          <Rows<Attempt>
            name="Attempts"
            rows={data.attempts}
            id={(attempt) => String(attempt.number)}
            onOpen={() => onOpen(id)}
            columns={[
              { name: "Attempt", cell: (attempt) => <button type="button" className="link" onClick={() => onOpen(id)}>{attempt.number}</button> },
              { name: "State", cell: (attempt) => <State state={attempt.state} note={attempt.exit_code ? `exit ${attempt.exit_code}` : null} /> },
              { name: "Agent", wide: true, cell: (attempt) => (attempt.agent ? <Id id={attempt.agent} length={12} /> : "–") },
              { name: "Leased", wide: true, cell: (attempt) => <Ago time={attempt.leased_at} /> },
              { name: "Phases", cell: (attempt) => <span className="small nowrap">{attempt.phases.map((phase) => `${phase.name} ${phase.ended_at ? duration(Date.parse(phase.ended_at) - Date.parse(phase.started_at)) : "…"}`).join(" · ")}</span> },
              { name: "Cause", wide: true, grow: true, cell: (attempt) => <span className="cut small">{(attempt.reason as { message?: string } | null | undefined)?.message ?? ""}</span> },
            ]}
          />
        )}
      </View>
    </section>
  );
}

function useRunChange(run: Run) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (body: { notes?: string; tags?: string[] }) =>
      api.PATCH("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { params: { path: { entity: run.entity, project: run.project, run: run.id } }, body }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["run", run.entity, run.project, run.id] });
      await queries.invalidateQueries({ queryKey: ["runs"] });
    },
  });
}

/** Tags as chips: added by Enter, taken away one by one. */
function Tags({ run }: { run: Run }) {
  const may = useMay(run.entity, "member");
  const change = useRunChange(run);
  const [text, setText] = useState("");
  return (
    <span className="row wrap">
      {run.tags.map((tag) => (
        <span key={tag} className="chip">
          {tag}
          {may && (
            <button type="button" aria-label={`Remove the tag ${tag}`} disabled={change.isPending} onClick={() => change.mutate({ tags: run.tags.filter((one) => one !== tag) })}>
              ✕
            </button>
          )}
        </span>
      ))}
      {may && (
        <input
          className="input"
          style={{ width: 110 }}
          aria-label="Add a tag"
          placeholder="+ tag"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            const tag = text.trim();
            if (event.key !== "Enter" || tag === "" || change.isPending) return;
            change.mutate({ tags: [...new Set([...run.tags, tag])] }, { onSuccess: () => setText("") });
          }}
        />
      )}
      {!may && run.tags.length === 0 && <span className="quiet">none</span>}
      {change.isError && <Failure error={change.error} />}
    </span>
  );
}

/** Notes with the marks of Markdown; a refused change keeps what was typed. */
function Notes({ run }: { run: Run }) {
  const may = useMay(run.entity, "member");
  const change = useRunChange(run);
  const [editing, setEditing] = useState(false);
  const [notes, setNotes] = useState(run.notes);
  if (!may && run.notes === "") return null;
  return (
    <section className="stack" style={{ maxWidth: 900, gap: 6 }} aria-label="Notes">
      <div className="section-head">
        <h2>Notes</h2>
        {may && !editing && (
          <button type="button" className="link small" onClick={() => setEditing(true)}>
            {run.notes ? "Edit" : "Write notes"}
          </button>
        )}
      </div>
      {change.isError && <Failure error={change.error} retry={() => change.mutate({ notes })} />}
      {editing ? (
        <form
          className="stack"
          style={{ gap: 8 }}
          onSubmit={(event) => {
            event.preventDefault();
            change.mutate({ notes }, { onSuccess: () => setEditing(false) });
          }}
        >
          <Field label="Text" note="Markdown">
            {(tie) => <textarea {...tie} className="area" rows={Math.min(16, notes.split("\n").length + 2)} value={notes} onChange={(event) => setNotes(event.target.value)} />}
          </Field>
          <div className="row">
            <button type="submit" className="button primary" disabled={change.isPending}>
              Save
            </button>
            <button
              type="button"
              className="button"
              onClick={() => {
                setNotes(run.notes);
                setEditing(false);
              }}
            >
              Cancel
            </button>
          </div>
        </form>
      ) : (
        run.notes && <Markdown text={run.notes} />
      )}
    </section>
  );
}
