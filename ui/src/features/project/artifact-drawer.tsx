/** A version of an artifact over the list of them: what it is, who made it, and its newest versions. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { artifactVersionsQuery } from "../../api/queries";
import type { Artifact } from "../../api/types";
import { Ago, Command, Id } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { View } from "../../components/view";
import { bytes } from "../../format/text";
import { runPage } from "../run/run-drawer";
import { ArtifactFacts, artifactPage } from "./artifact-facts";

/** Versions that are shown; the page has all. */
const NEWEST = 5;

/** A version as lists and the address call it. Projects share artifacts, so that those of a run may be of several. */
export const artifactName = (artifact: Artifact) => `${artifact.entity}/${artifact.project}/${artifact.type}/${artifact.name}:${artifact.version}`;

const Version = ({ artifact }: { artifact: Artifact }) => (
  <span className="row wrap">
    <Link to={artifactPage(artifact)}>{artifact.version}</Link>
    {artifact.aliases.map((alias) => (
      <span key={alias} className="chip">
        {alias}
      </span>
    ))}
  </span>
);

export function ArtifactDrawer({ artifact, ids, onShow }: { artifact: Artifact; ids: string[]; onShow: (id: string | null) => void }) {
  const versions = useQuery(artifactVersionsQuery(artifact));
  const newest = versions.data?.[0];
  const all = versions.data?.length ?? 0;
  const page = artifactPage(artifact);
  return (
    <RowDrawer
      what="artifact"
      name={`Artifact ${artifact.name}:${artifact.version}`}
      title={artifact.name}
      page={page}
      id={artifactName(artifact)}
      ids={ids}
      onShow={onShow}
    >
      <dl className="facts">
        <dt>Type</dt>
        <dd>{artifact.type}</dd>
        <dt>Version</dt>
        <dd>
          <Version artifact={artifact} />
        </dd>
        <dt>Newest</dt>
        <dd>{newest === undefined ? "…" : newest.id === artifact.id ? "this one" : <Version artifact={newest} />}</dd>
        <ArtifactFacts artifact={artifact} />
        <dt>Digest</dt>
        <dd>
          <Id id={artifact.digest} length={24} />
        </dd>
        {artifact.description && (
          <>
            <dt>Description</dt>
            <dd style={{ whiteSpace: "pre-wrap" }}>{artifact.description}</dd>
          </>
        )}
      </dl>
      <Command text={`wandb artifact get ${artifact.entity}/${artifact.project}/${artifact.name}:${artifact.version}`} />
      <h3>Newest versions</h3>
      <View query={versions} height={120}>
        {(list) => (
          <Rows<Artifact>
            name="Newest versions"
            rows={list.slice(0, NEWEST)}
            id={(one) => one.id}
            columns={[
              { name: "Version", cell: (one) => <Version artifact={one} /> },
              { name: "Size", num: true, cell: (one) => bytes(one.size_bytes) },
              { name: "By", wide: true, cell: (one) => one.author },
              { name: "Run", wide: true, cell: (one) => one.created_by_run && <Link to={runPage({ entity: one.entity, project: one.project, run: one.created_by_run })}>{one.created_by_run}</Link> },
              { name: "Made", cell: (one) => <Ago time={one.created_at} /> },
            ]}
          />
        )}
      </View>
      {all > NEWEST && (
        <p className="quiet small">
          {NEWEST} of {all.toLocaleString("en-US")}; the <Link to={page}>page</Link> has all.
        </p>
      )}
    </RowDrawer>
  );
}
