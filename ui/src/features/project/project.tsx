import { useQuery } from "@tanstack/react-query";
import { Link, Navigate, useNavigate, useParams } from "react-router";
import { artifactsQuery } from "../../api/queries";
import type { Artifact } from "../../api/types";
import { PageHead } from "../../app/shell";
import { Ago, Tabs } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Cut, Empty, View } from "../../components/view";
import { bytes } from "../../format/text";
import { Jobs } from "./jobs";
import { Runs } from "./runs";
import { Sweeps } from "./sweeps";

/** A project: runs, jobs, artifacts, sweeps. */
export function Component() {
  const { entity = "", project = "", tab, sweep } = useParams();
  const navigate = useNavigate();
  const open = tab ?? "runs";
  // The page of a sweep, as the client prints its address, is its runs beside their charts.
  if (sweep) return <Navigate to={`/${entity}/${project}?f=${encodeURIComponent(`sweep=${sweep}`)}`} replace />;
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
          { key: "sweeps", name: "Sweeps", body: () => <Sweeps entity={entity} project={project} /> },
        ]}
      />
    </>
  );
}

function Artifacts({ entity, project }: { entity: string; project: string }) {
  const artifacts = useQuery(artifactsQuery(entity, project));
  return (
    <View query={artifacts} height={200} empty={(list) => (list.length === 0 ? <Empty>Nothing was logged with <code>run.log_artifact</code> yet.</Empty> : null)}>
      {(list) => (
        <>
          <ArtifactRows artifacts={list} />
          <Cut list={list} what="artifacts" />
        </>
      )}
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
