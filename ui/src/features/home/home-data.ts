/** What the home page asks first. */
import { cache } from "../../api/cache";
import { firstRunsQuery, itemsQuery, meQuery, projectsQuery, queuesQuery } from "../../api/queries";
import type { Me } from "../../api/types";
import { type Scope, scopeOf } from "../../app/scope";

/** The caller's newest items. */
export const myItemsQuery = (me: Me, { chosen }: Scope) => itemsQuery({ author: me.username, ...(chosen ? { entity: chosen } : {}) }, 20);

/** How many runs the home page shows. */
export const RECENT = 12;

/** The caller's newest runs of a project. */
export const myRunsQuery = (me: Me, entity: string, project: string) => firstRunsQuery(entity, project, { order: "-created_at", filter: JSON.stringify({ username: me.username }) }, RECENT);

export async function homeAhead() {
  const me = await cache.fetchQuery(meQuery);
  const scope = scopeOf(me);
  await Promise.all([cache.prefetchQuery(queuesQuery(scope.entities)), cache.prefetchInfiniteQuery(myItemsQuery(me, scope)), cache.prefetchQuery(projectsQuery(scope.one))]);
}
