import type { UseQueryResult } from "@tanstack/react-query";
import { Link } from "react-router";
import { problemOf } from "../../api/client";
import { Empty } from "../../components/view";

/** Whether what was read before is not there any more. What was never there is an error like others. */
export const isGone = (query: Pick<UseQueryResult, "isError" | "error" | "data">): boolean => query.data !== undefined && query.isError && problemOf(query.error).status === 404;

/** Stands where a run was that somebody deleted while it was looked at. */
export function GoneRun({ entity, project, name }: { entity: string; project: string; name: string }) {
  return (
    <div role="status">
      <Empty action={<Link to={`/${entity}/${project}`}>Runs of {project}</Link>}>
        <strong>{name} was deleted.</strong> Its charts, its log and its files are not there any more.
      </Empty>
    </div>
  );
}
