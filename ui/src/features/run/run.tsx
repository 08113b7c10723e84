import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useNavigate, useParams } from "react-router";
import { api, got, problemOf } from "../../api/client";
import { useRunChanges } from "../../api/live";
import { isEnded, runArtifactsQuery, runJobQuery, runQuery } from "../../api/queries";
import type { JsonObject, Run } from "../../api/types";
import { useCommands } from "../../app/commands";
import { useMay } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { ChartWall } from "../../components/chart-wall";
import type { ChartRun } from "../../components/chart";
import { Log } from "../../components/log";
import { Ago, Confirm, Dialog, Field, Lasted, Tabs } from "../../components/parts";
import { colourOf } from "../../components/plot";
import { State } from "../../components/state";
import { Empty, Failure, View } from "../../components/view";
import { LaunchDrawer } from "../launch/launch-drawer";
import { ArtifactRows } from "../project/project";
import { metricKeys } from "../project/run-keys";
import { logPath } from "./run-data";
import { RunFiles } from "./run-files";
import { Overview } from "./run-overview";
import { systemKeysQuery } from "./system";

/** A run: its charts, what it is, its log, machine, files and artifacts. */
export function Component() {
  const { entity = "", project = "", run: name = "", tab = "charts" } = useParams();
  const run = useQuery(runQuery(entity, project, name));
  useRunChanges(entity, project, name);
  const navigate = useNavigate();
  return (
    <>
      <PageHead title={run.data?.name ?? name} action={run.data && <Actions run={run.data} />}>
        {run.data && (
          <>
            <State state={run.data.state} />
            <span className="quiet">
              {run.data.author} · <Ago time={run.data.created_at} /> · <Lasted from={run.data.created_at} to={run.data.ended_at ?? (run.data.state === "running" ? null : run.data.heartbeat_at)} />
            </span>
            {run.data.tags.map((tag) => (
              <span key={tag} className="chip">
                {tag}
              </span>
            ))}
          </>
        )}
      </PageHead>
      <View query={run} height={320}>
        {(data) => (
          <Tabs
            name="Run"
            open={tab}
            onOpen={(key) => void navigate(key === "charts" ? `/${entity}/${project}/runs/${name}` : `/${entity}/${project}/runs/${name}/${key}`)}
            tabs={[
              { key: "charts", name: "Charts", body: () => <Charts run={data} /> },
              { key: "overview", name: "Overview", body: () => <Overview run={data} /> },
              { key: "log", name: "Log", body: () => <Log path={logPath(entity, project, data.id)} file={`${data.id}.log`} height="calc(100dvh - 170px)" /> },
              { key: "system", name: "System", body: () => <System run={data} /> },
              { key: "files", name: "Files", body: () => <RunFiles run={data} /> },
              { key: "artifacts", name: "Artifacts", body: () => <Artifacts run={data} /> },
            ]}
          />
        )}
      </View>
    </>
  );
}

function useLine(run: Run): ChartRun[] {
  const { entity, project, id, state, name } = run;
  return useMemo(() => [{ entity, project, id, state, label: name, ...colourOf(`${entity}/${project}`, id) }], [entity, project, id, state, name]);
}

function Charts({ run }: { run: Run }) {
  const lines = useLine(run);
  return <ChartWall keys={metricKeys([run])} runs={lines} />;
}

function System({ run }: { run: Run }) {
  const lines = useLine(run);
  const keys = useQuery(systemKeysQuery(run));
  return (
    <View query={keys} height={240}>
      {(names) => <ChartWall keys={names} runs={lines} stream="system" />}
    </View>
  );
}

function Artifacts({ run }: { run: Run }) {
  const made = useQuery(runArtifactsQuery(run.entity, run.project, run.id, "output"));
  const used = useQuery(runArtifactsQuery(run.entity, run.project, run.id, "input"));
  return (
    <>
      <h2>Logged</h2>
      <View query={made} height={100} empty={(list) => (list.length === 0 ? <Empty>The run logged no artifact.</Empty> : null)}>
        {(list) => <ArtifactRows name="Artifacts" artifacts={list} />}
      </View>
      <h2>Used</h2>
      <View query={used} height={100} empty={(list) => (list.length === 0 ? <Empty>The run used no artifact.</Empty> : null)}>
        {(list) => <ArtifactRows name="Used artifacts" artifacts={list} />}
      </View>
    </>
  );
}

function Actions({ run }: { run: Run }) {
  const queries = useQueryClient();
  const may = useMay(run.entity, "member");
  const job = useQuery(runJobQuery(run.entity, run.project, run.id));
  const [open, setOpen] = useState<"launch" | "job" | "stop" | null>(null);
  const reference = run.job ?? job.data?.job ?? null;
  const stop = useMutation({
    mutationFn: async () => api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/stop", { params: { path: { entity: run.entity, project: run.project, run: run.id } } }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["run"] }),
  });
  const live = !isEnded(run.state);
  useCommands(
    useMemo(
      () =>
        may
          ? [
              ...(reference ? [{ name: "Launch again", hint: "Run", run: () => setOpen("launch") }] : []),
              ...(live ? [{ name: "Stop this run", hint: "Run", run: () => setOpen("stop") }] : []),
              { name: "Make a job", hint: "Run", run: () => setOpen("job") },
            ]
          : [],
      [may, reference, live],
    ),
  );
  if (!may) return null;
  const inputs = Object.fromEntries(Object.entries(run.config).filter(([key]) => !key.startsWith("_"))) as JsonObject;
  return (
    <>
      {stop.isError && <Failure error={stop.error} />}
      {live && (
        <button type="button" className="button danger" disabled={stop.isPending} onClick={() => setOpen("stop")}>
          Stop
        </button>
      )}
      <button type="button" className="button" onClick={() => setOpen("job")}>
        Make a job
      </button>
      <button type="button" className="button primary" disabled={!reference} title={reference ? undefined : (job.data?.why ?? "This run has no job yet: make one first.")} onClick={() => setOpen("launch")}>
        Launch again
      </button>
      {open === "launch" && reference && <LaunchDrawer job={reference} inputs={inputs} onClose={() => setOpen(null)} />}
      {open === "job" && <MakeJob run={run} onClose={() => setOpen(null)} />}
      {open === "stop" && (
        <Confirm title="Stop this run?" action="Stop 1 running run" onYes={() => stop.mutate()} onClose={() => setOpen(null)}>
          <p>The item that launched it stops too.</p>
        </Confirm>
      )}
    </>
  );
}

function MakeJob({ run, onClose }: { run: Run; onClose: () => void }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [source, setSource] = useState("");
  const make = useMutation({
    mutationFn: async () =>
      got(
        api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/job", {
          params: { path: { entity: run.entity, project: run.project, run: run.id } },
          body: { name: name.trim() || null, source: source || null },
        }),
      ),
    onSuccess: async (made) => {
      await queries.invalidateQueries({ queryKey: ["jobs"] });
      await queries.invalidateQueries({ queryKey: ["run"] });
      const job = (made as unknown as { reference: string }).reference.split("/").at(-1)!.split(":")[0]!;
      await navigate(`/${run.entity}/${run.project}/jobs/${encodeURIComponent(job)}`);
    },
  });
  return (
    <Dialog
      title="Make a job of this run"
      name="Make a job"
      onClose={onClose}
      foot={
        <button type="submit" form="make-job" className="button primary" disabled={make.isPending}>
          Make
        </button>
      }
    >
      {make.isError && <Failure error={problemOf(make.error)} />}
      <form
        id="make-job"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate();
        }}
      >
        <Field label="Name" note="Left empty: made from the image, the code or the git remote, as the client does.">
          {(tie) => <input {...tie} className="input" value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="Source">
          {(tie) => (
            <select {...tie} className="select" value={source} onChange={(event) => setSource(event.target.value)}>
              <option value="">what the run has</option>
              <option>code</option>
              <option>git</option>
              <option>image</option>
            </select>
          )}
        </Field>
      </form>
    </Dialog>
  );
}
