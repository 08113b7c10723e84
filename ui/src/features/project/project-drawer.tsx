/** A project over the list of projects: what it is about, its newest runs and its jobs. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { firstRunsQuery, jobsQuery } from "../../api/queries";
import type { Project, Run } from "../../api/types";
import { Ago, Lasted } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { Empty, View } from "../../components/view";
import { metric } from "../../format/text";
import { runPage } from "../run/run-drawer";
import { metricKeys, mostTelling, resultOf } from "./run-keys";

/** Runs and jobs that are shown; the page has all. */
const NEWEST = 8;

export function ProjectDrawer({ project, id, ids, onShow }: { project: Project; id: string; ids: string[]; onShow: (id: string | null) => void }) {
  const runs = useQuery(firstRunsQuery(project.entity, project.name, { order: "-created_at" }, NEWEST));
  const jobs = useQuery(jobsQuery(project.entity, project.name));
  const page = `/${project.entity}/${project.name}`;
  return (
    <RowDrawer
      what="project"
      name={`Project ${project.name}`}
      title={project.name}
      page={page}
      id={id}
      ids={ids}
      onShow={onShow}
    >
      <dl className="facts">
        <dt>Entity</dt>
        <dd>
          <Link to={`/${project.entity}`}>{project.entity}</Link>
        </dd>
        <dt>Made</dt>
        <dd>
          <Ago time={project.created_at} />
        </dd>
        <dt>Runs</dt>
        <dd>{project.runs.toLocaleString("en-US")}</dd>
        {project.description && (
          <>
            <dt>Description</dt>
            <dd style={{ whiteSpace: "pre-wrap" }}>{project.description}</dd>
          </>
        )}
      </dl>
      <h3>Newest runs</h3>
      <View query={runs} height={160} empty={(list) => (list.length === 0 ? <Empty>It has no run yet.</Empty> : null)}>
        {(list) => (
          <Rows<Run>
            name="Newest runs"
            rows={list}
            id={(run) => run.id}
            columns={[
              { name: "State", cell: (run) => <State state={run.state} /> },
              { name: "Run", cell: (run) => <Link to={runPage({ entity: run.entity, project: run.project, run: run.id })}>{run.name}</Link> },
              { name: "By", wide: true, cell: (run) => run.author },
              { name: "Began", cell: (run) => <Ago time={run.created_at} /> },
              { name: "Ran", num: true, wide: true, cell: (run) => <Lasted from={run.created_at} to={run.ended_at ?? (run.state === "running" ? null : run.heartbeat_at)} /> },
              { name: "Result", num: true, wide: true, cell: (run) => <Result run={run} /> },
            ]}
          />
        )}
      </View>
      <h3>Jobs</h3>
      <View query={jobs} height={40} empty={(list) => (list.length === 0 ? <Empty>It has no job yet.</Empty> : null)}>
        {(list) => (
          <p className="row wrap">
            {list.slice(0, NEWEST).map((job) => (
              <Link key={job.name} to={`${page}/jobs/${encodeURIComponent(job.name)}`}>
                {job.name}
              </Link>
            ))}
            {list.length > NEWEST && <Link to={`${page}/jobs`}>all {list.length}</Link>}
          </p>
        )}
      </View>
    </RowDrawer>
  );
}

/** The most telling number of a run. */
function Result({ run }: { run: Run }) {
  const key = mostTelling(metricKeys([run]));
  return key ? (
    <span title={key}>
      <span className="quiet">{key.split("/").at(-1)}</span> {metric(resultOf(run, key))}
    </span>
  ) : null;
}
