/** What the page of a run asks first: the run, and beside it the log when that is what is open. */
import { cache } from "../../api/cache";
import { tailAhead } from "../../api/log";
import { runQuery } from "../../api/queries";

export const logPath = (entity: string, project: string, run: string) => `/api/v1/entities/${encodeURIComponent(entity)}/projects/${encodeURIComponent(project)}/runs/${encodeURIComponent(run)}/log`;

export async function runAhead({ entity = "", project = "", run = "", tab }: Readonly<Record<string, string | undefined>>) {
  if (tab === "log") tailAhead(logPath(entity, project, run));
  await cache.prefetchQuery(runQuery(entity, project, run));
}
