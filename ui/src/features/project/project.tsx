import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "react-router";
import { artifactsQuery, jobsQuery } from "../../api/queries";
import type { Artifact, Job } from "../../api/types";
import { PageHead } from "../../app/shell";
import { Ago, Tabs } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Empty, View } from "../../components/view";
import { bytes } from "../../format/text";
import { Runs } from "./runs";

/** A project: runs, jobs, artifacts, sweeps. */
export function Component() {
  const { entity = "", project = "", tab, sweep } = useParams();
  const navigate = useNavigate();
  const open = sweep ? "sweeps" : (tab ?? "runs");
  return (
    <>
      <PageHead title={project} />
      <Tabs
        name="Project"
        open={open}
        onOpen={(key) => void navigate(key === "runs" ? `/${entity}/${project}` : `/${entity}/${project}/${key}`)}
        tabs={[
          { key: "runs", name: "Runs", body: () => <Runs entity={entity} project={project} /> },
          { key: "jobs", name: "Jobs", body: () => <Jobs entity={entity} project={project} /> },
          { key: "artifacts", name: "Artifacts", body: () => <Artifacts entity={entity} project={project} /> },
          { key: "sweeps", name: "Sweeps", body: () => <Empty>{sweep ? <>Sweep <code>{sweep}</code>: its runs are in the runs table under the group of its name.</> : "Sweeps are listed by the wandb client; their runs are in the runs table."}</Empty> },
        ]}
      />
    </>
  );
}

const sources: Record<string, string> = { code: "code", artifact: "code", git: "git", repo: "git", image: "image" };

function Jobs({ entity, project }: { entity: string; project: string }) {
  const jobs = useQuery(jobsQuery(entity, project));
  const navigate = useNavigate();
  return (
    <View
      query={jobs}
      height={200}
      empty={(list) =>
        list.length === 0 ? (
          <Empty>
            No job yet. A finished run with logged code or a git commit makes one; so does <code>lanza job create code train.py -p {project}</code>.
          </Empty>
        ) : null
      }
    >
      {(list) => (
        <Rows<Job>
          name="Jobs"
          rows={list}
          id={(job) => job.name}
          onOpen={(job) => void navigate(`/${entity}/${project}/jobs/${encodeURIComponent(job.name)}`)}
          columns={[
            { name: "Job", cell: (job) => <Link to={`/${entity}/${project}/jobs/${encodeURIComponent(job.name)}`}>{job.name}</Link> },
            { name: "Source", cell: (job) => sources[job.latest?.source_type ?? ""] ?? job.latest?.source_type ?? "–" },
            { name: "Latest", cell: (job) => job.latest?.version ?? "–" },
            { name: "Aliases", wide: true, cell: (job) => job.latest?.aliases.map((alias) => <span key={alias} className="chip">{alias}</span>) },
            { name: "Versions", num: true, wide: true, cell: (job) => job.versions },
            { name: "Python", wide: true, cell: (job) => job.latest?.python ?? "–" },
            { name: "Changed", cell: (job) => <Ago time={job.latest?.created_at ?? job.created_at} /> },
          ]}
        />
      )}
    </View>
  );
}

function Artifacts({ entity, project }: { entity: string; project: string }) {
  const artifacts = useQuery(artifactsQuery(entity, project));
  return (
    <View query={artifacts} height={200} empty={(list) => (list.length === 0 ? <Empty>Nothing was logged with <code>run.log_artifact</code> yet.</Empty> : null)}>
      {(list) => <ArtifactRows artifacts={list} />}
    </View>
  );
}

export function ArtifactRows({ artifacts, name = "Artifacts" }: { artifacts: Artifact[]; name?: string }) {
  return (
    <Rows<Artifact>
      name={name}
      rows={artifacts}
      id={(artifact) => artifact.id}
      columns={[
        { name: "Artifact", cell: (artifact) => <Link to={`/${artifact.entity}/${artifact.project}/artifacts/${encodeURIComponent(artifact.type)}/${encodeURIComponent(artifact.name)}/${artifact.version}`}>{artifact.name}</Link> },
        { name: "Type", cell: (artifact) => artifact.type },
        { name: "Version", cell: (artifact) => artifact.version },
        { name: "Aliases", wide: true, cell: (artifact) => artifact.aliases.map((alias) => <span key={alias} className="chip">{alias}</span>) },
        { name: "Files", num: true, wide: true, cell: (artifact) => artifact.file_count },
        { name: "Size", num: true, cell: (artifact) => bytes(artifact.size_bytes) },
        { name: "Made", wide: true, cell: (artifact) => <Ago time={artifact.created_at} /> },
      ]}
    />
  );
}
