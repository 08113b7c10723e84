import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useParams } from "react-router";
import { useRunChanges } from "../../api/live";
import { runArtifactsQuery, runQuery } from "../../api/queries";
import type { Run } from "../../api/types";
import { PageHead } from "../../app/shell";
import { useTabs } from "../../app/tabs";
import { ChartWall } from "../../components/chart-wall";
import type { ChartRun } from "../../components/chart";
import { Log } from "../../components/log";
import { Ago, Lasted, Tabs } from "../../components/parts";
import { colourOf } from "../../components/plot";
import { State } from "../../components/state";
import { Empty, View } from "../../components/view";
import { ArtifactRows } from "../project/artifacts";
import { chartKeys } from "../project/run-keys";
import { GoneRun, isGone } from "./gone";
import { RunActions } from "./run-actions";
import { logPath } from "./run-data";
import { RunFiles } from "./run-files";
import { Overview } from "./run-overview";
import { streamKeysQuery } from "./stream-keys";

/** A run: its charts, what it is, its log, machine, files and artifacts. */
export function Component() {
  const { entity = "", project = "", run: name = "", tab = "charts" } = useParams();
  const run = useQuery(runQuery(entity, project, name));
  const gone = isGone(run);
  useRunChanges(entity, project, name);
  const open = useTabs(`/${entity}/${project}/runs/${name}`, "charts", tab);
  return (
    <>
      <PageHead title={run.data?.name ?? name} action={run.data && !gone && <RunActions run={run.data} />}>
        {run.data && !gone && (
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
      {gone ? (
        <div className="page-body">
          <GoneRun entity={entity} project={project} name={run.data?.name ?? name} />
        </div>
      ) : (
        <View query={run} height={320}>
          {(data) => (
            <Tabs
              name="Run"
              open={tab}
              onOpen={open}
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
      )}
    </>
  );
}

function useLine(run: Run): ChartRun[] {
  const { entity, project, id, state, name, number } = run;
  return useMemo(() => [{ entity, project, id, state, label: name, ...colourOf(number) }], [entity, project, id, state, name, number]);
}

function Charts({ run }: { run: Run }) {
  const lines = useLine(run);
  const told = chartKeys([run]);
  // The client sends the first summary half a minute after the first rows, one that crashed before sends none, and some metrics
  // are kept out of it on purpose. What the summary tells is there at once.
  const logged = useQuery({ ...streamKeysQuery(run, "history"), ...(told.length > 0 ? { refetchInterval: false, staleTime: 60_000 } : {}) });
  const names = [...new Set([...told, ...(logged.data ?? [])])].join("\n");
  const keys = useMemo(() => names.split("\n").filter(Boolean), [names]);
  return <ChartWall keys={keys} runs={lines} />;
}

function System({ run }: { run: Run }) {
  const lines = useLine(run);
  const keys = useQuery(streamKeysQuery(run, "system"));
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
        {(list) => <ArtifactRows name="Used artifacts" at="used" artifacts={list} />}
      </View>
    </>
  );
}
