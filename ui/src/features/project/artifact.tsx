import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { artifactFilesQuery, artifactVersionsQuery } from "../../api/queries";
import { PageHead } from "../../app/shell";
import { Command, Id } from "../../components/parts";
import { Tree } from "../../components/tree";
import { Empty, View } from "../../components/view";
import { ArtifactFiles } from "../files/artifact-files";
import { ArtifactFacts, artifactPage } from "./artifact-facts";

/** A version of an artifact: what it is, its files, its other versions. */
export function Component() {
  const { entity = "", project = "", type = "", name = "", version = "" } = useParams();
  const path = { entity, project, type, name };
  const navigate = useNavigate();
  const versions = useQuery(artifactVersionsQuery(path));
  const artifact = versions.data?.find((one) => one.version === version || one.aliases.includes(version)) ?? versions.data?.[0];
  const files = useQuery(artifactFilesQuery(artifact?.id));
  return (
    <>
      <PageHead title={name}>
        {versions.data && versions.data.length > 0 && (
          <select
            className="select"
            style={{ width: 160 }}
            aria-label="Version"
            value={artifact?.version}
            onChange={(event) => void navigate(artifactPage({ ...path, version: event.target.value }))}
          >
            {versions.data.map((one) => (
              <option key={one.id} value={one.version}>
                {one.version}
                {one.aliases.length > 0 ? ` · ${one.aliases.join(", ")}` : ""}
              </option>
            ))}
          </select>
        )}
      </PageHead>
      <div className="page-body">
        <View query={versions} height={240} empty={(list) => (list.length === 0 ? <Empty>There is no such artifact.</Empty> : null)}>
          {() =>
            artifact && (
              <>
                <dl className="facts">
                  <dt>Type</dt>
                  <dd>{artifact.type}</dd>
                  <ArtifactFacts artifact={artifact} />
                  <dt>Digest</dt>
                  <dd>
                    <Id id={artifact.digest} length={32} />
                  </dd>
                  {artifact.description && (
                    <>
                      <dt>Description</dt>
                      <dd style={{ whiteSpace: "pre-wrap" }}>{artifact.description}</dd>
                    </>
                  )}
                </dl>
                <Command text={`wandb artifact get ${entity}/${project}/${name}:${artifact.version}`} />
                {artifact.metadata !== null && typeof artifact.metadata === "object" && Object.keys(artifact.metadata as object).length > 0 && (
                  <section className="stack">
                    <h2>Metadata</h2>
                    <Tree name="Metadata" value={artifact.metadata} />
                  </section>
                )}
                <h2>Files</h2>
                <View query={files} height={120} empty={(list) => (list.length === 0 ? <Empty>It has no files.</Empty> : null)}>
                  {(list) => <ArtifactFiles files={list} />}
                </View>
              </>
            )
          }
        </View>
      </div>
    </>
  );
}
