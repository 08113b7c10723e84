import { Link } from "react-router";
import type { Artifact } from "../../api/types";
import { Ago } from "../../components/parts";
import { bytes, count } from "../../format/text";
import { runPage } from "../run/run-drawer";

/** The page of a version of an artifact. */
export const artifactPage = ({ entity, project, type, name, version }: Pick<Artifact, "entity" | "project" | "type" | "name" | "version">) =>
  `/${entity}/${project}/artifacts/${encodeURIComponent(type)}/${encodeURIComponent(name)}/${version}`;

/** Lines about a version of an artifact, of a list of facts: who made it, in which run, and how big it is. */
export function ArtifactFacts({ artifact }: { artifact: Artifact }) {
  return (
    <>
      <dt>Made</dt>
      <dd>
        <Ago time={artifact.created_at} /> {artifact.author ? `by ${artifact.author}` : ""}{" "}
        {artifact.created_by_run && (
          <>
            in run <Link to={runPage({ entity: artifact.entity, project: artifact.project, run: artifact.created_by_run })}>{artifact.created_by_run}</Link>
          </>
        )}
      </dd>
      <dt>Size</dt>
      <dd>
        {bytes(artifact.size_bytes)} in {count(artifact.file_count, "file")}
      </dd>
    </>
  );
}
