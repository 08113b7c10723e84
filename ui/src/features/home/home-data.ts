/** What the home page asks first. */
import { cache } from "../../api/cache";
import { firstRunsQuery, itemsQuery, meQuery, projectsOfQuery, queuesQuery } from "../../api/queries";
import type { Me } from "../../api/types";
import { type Scope, scopeOf } from "../../app/scope";

/** The caller's newest items. */
export const myItemsQuery = (me: Me, { chosen }: Scope) => itemsQuery({ author: me.username, ...(chosen ? { entity: chosen } : {}) }, 20);

/** How many runs the home page shows. */
export const RECENT = 12;

/** The newest runs of a project: the caller's, or everybody's. */
export const recentRunsQuery = (me: Me | null, entity: string, project: string) => firstRunsQuery(entity, project, { order: "-created_at", ...(me ? { filter: JSON.stringify({ username: me.username }) } : {}) }, RECENT);

export async function homeAhead(_path: object, params: URLSearchParams) {
  const me = await cache.fetchQuery(meQuery);
  const scope = scopeOf(me, params);
  await Promise.all([cache.prefetchQuery(queuesQuery(scope.entities)), cache.prefetchInfiniteQuery(myItemsQuery(me, scope)), cache.prefetchQuery(projectsOfQuery(scope.entities))]);
}
