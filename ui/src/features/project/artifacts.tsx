import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "react-router";
import { artifactsQuery } from "../../api/queries";
import type { Artifact } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Ago } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Cut, Empty, View } from "../../components/view";
import { bytes } from "../../format/text";
import { ArtifactDrawer, artifactName } from "./artifact-drawer";
import { artifactPage } from "./artifact-facts";

const fields: Fields<Artifact> = {
  type: (artifact) => artifact.type,
  name: (artifact) => artifact.name,
  version: (artifact) => artifact.version,
  alias: (artifact) => artifact.aliases,
  author: (artifact) => artifact.author,
  run: (artifact) => artifact.created_by_run,
};

/** The versions of a project's artifacts, the newest first. */
export function Artifacts({ entity, project }: { entity: string; project: string }) {
  const artifacts = useQuery(artifactsQuery(entity, project));
  const filter = useListFilter("Filter artifacts", Object.keys(fields), valuesOf(artifacts.data ?? [], fields));
  const shown = filter.keep(artifacts.data ?? [], fields);
  return (
    <View query={artifacts} height={200}>
      {(list) => (
        <>
          {list.length > 0 && <div className="row wrap">{filter.bar}</div>}
          <ArtifactRows
            artifacts={shown}
            all={list}
            empty={
              list.length === 0 && (
                <Empty>
                  Nothing was logged with <code>run.log_artifact</code> yet.
                </Empty>
              )
            }
          />
          {list.length > 0 && filter.none(shown)}
          <Cut list={list} what="artifacts" />
        </>
      )}
    </View>
  );
}

/** Versions of artifacts. `at` is what the address calls the one that is open, `all` the list before it was filtered. */
export function ArtifactRows({ artifacts, all = artifacts, name = "Artifacts", at = "artifact", empty }: { artifacts: Artifact[]; all?: Artifact[]; name?: string; at?: string; empty?: ReactNode }) {
  const [search, change] = useAddress();
  const open = all.find((artifact) => artifactName(artifact) === search.get(at));
  const show = (id: string | null) => change((params) => put(params, at, id));
  return (
    <>
      <Rows<Artifact>
        name={name}
        rows={artifacts}
        id={artifactName}
        onOpen={(artifact) => show(artifactName(artifact))}
        open={open && artifactName(open)}
        empty={empty}
        columns={[
          { name: "Artifact", cell: (artifact) => <Link to={artifactPage(artifact)}>{artifact.name}</Link> },
          { name: "Type", cell: (artifact) => artifact.type },
          { name: "Version", cell: (artifact) => artifact.version },
          { name: "Aliases", wide: true, cell: (artifact) => artifact.aliases.map((alias) => <span key={alias} className="chip">{alias}</span>) },
          { name: "Files", num: true, wide: true, cell: (artifact) => artifact.file_count },
          { name: "Size", num: true, cell: (artifact) => bytes(artifact.size_bytes) },
          { name: "Made", wide: true, cell: (artifact) => <Ago time={artifact.created_at} /> },
        ]}
      />
      {open && <ArtifactDrawer artifact={open} ids={artifacts.map(artifactName)} onShow={show} />}
    </>
  );
}
