/** Query options per noun. The first word of a key is the family that `live.ts` marks as stale. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, got, readJson } from "./client";
import { runOf, runsOf } from "./exact";
import { pollEvery } from "./live";
import { allOf, allPages } from "./pages";
import type { Agent, Artifact, Item, Project, Queue, Run, Usage } from "./types";

const ended = new Set(["finished", "failed", "stopped", "crashed", "killed"]);

/** Whether nothing more happens to a run or an item in this state. */
export const isEnded = (state: string) => ended.has(state);

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async () => got(api.GET("/api/v1/me")),
  staleTime: 60_000,
  retry: false,
});

export const readyQuery = queryOptions({
  queryKey: ["ready"],
  queryFn: async ({ signal }) => readJson<{ status: string; version: string }>("/ready", signal),
  // Whoever hears nothing asks at once; the answer is wanted within seconds.
  retry: false,
  refetchInterval: (query) => (query.state.status === "error" ? 2_000 : 15_000),
});

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: async () => (await got(api.GET("/api/v1/me/keys"))).items,
});

export const entityQuery = (entity: string) =>
  queryOptions({
    queryKey: ["entity", entity],
    queryFn: async () => (await got(api.GET("/api/v1/entities/{entity}", { params: { path: { entity } } }))).entity,
  });

export const projectsQuery = (entity: string) =>
  queryOptions({
    queryKey: ["projects", entity],
    queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/entities/{entity}/projects", { params: { path: { entity }, query } }))),
    enabled: entity !== "",
  });

/** The projects of several entities, the newest first. */
export const projectsOfQuery = (entities: string[]) =>
  queryOptions({
    queryKey: ["projects", "of", ...entities],
    queryFn: async (): Promise<Project[]> => {
      const all = await allOf(entities, (entity) => async (query) => got(api.GET("/api/v1/entities/{entity}/projects", { params: { path: { entity }, query } })));
      return all.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    },
    enabled: entities.length > 0,
  });

/** The queues of several entities, in the order of their names. */
export const queuesQuery = (entities: string[]) =>
  queryOptions({
    queryKey: ["queues", ...entities],
    queryFn: async (): Promise<Queue[]> => allOf(entities, (entity) => async (query) => got(api.GET("/api/v1/entities/{entity}/queues", { params: { path: { entity }, query } }))),
    refetchInterval: () => pollEvery(),
    enabled: entities.length > 0,
  });

export const queueQuery = (entity: string, queue: string) =>
  queryOptions({
    queryKey: ["queue", entity, queue],
    queryFn: async () =>
      (await got(api.GET("/api/v1/entities/{entity}/queues/{queue}", { params: { path: { entity, queue } } }))).queue,
    refetchInterval: () => pollEvery(),
  });

/** What was changed about a queue, the newest first, page by page. */
export const queueHistoryQuery = (entity: string, queue: string) =>
  infiniteQueryOptions({
    queryKey: ["queue", entity, queue, "history"],
    queryFn: async ({ pageParam }) => got(api.GET("/api/v1/entities/{entity}/queues/{queue}/history", { params: { path: { entity, queue }, query: { limit: 50, ...(pageParam ? { after: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
  });

export const queueStatsQuery = (entity: string, queue: string, since: string) =>
  queryOptions({
    queryKey: ["queue", entity, queue, "stats", since],
    queryFn: async () =>
      (
        await got(
          api.GET("/api/v1/entities/{entity}/queues/{queue}/stats", {
            params: { path: { entity, queue }, query: { since } },
          }),
        )
      ).stats,
  });

export interface ItemFilter {
  entity?: string;
  queue?: string;
  state?: string;
  job?: string;
  author?: string;
  /** What waits on one queue, in the order in which it is handed out. */
  order?: "place";
}

export const itemsQuery = (filter: ItemFilter, limit = 100) =>
  infiniteQueryOptions({
    queryKey: ["items", filter, limit],
    queryFn: async ({ pageParam }) =>
      got(
        api.GET("/api/v1/items", {
          params: { query: { ...filter, limit, ...(pageParam ? { after: pageParam } : {}) } },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: () => pollEvery(),
  });

export const itemQuery = (id: string) =>
  queryOptions({
    queryKey: ["item", id],
    queryFn: async (): Promise<Item> => (await got(api.GET("/api/v1/items/{id}", { params: { path: { id } } }))).item,
    // Phases have no events of their own.
    refetchInterval: (query) => (query.state.data && isEnded(query.state.data.state) ? 30_000 : 1_500),
  });

/** Agents of an entity that are read whether they ended or not, the newest. */
export const NEWEST_AGENTS = 200;

/** All agents that did not end, and the newest of the others: those come and go with every machine, and are never the
    reason why one that works is not seen. */
async function agentsOf(entity: string): Promise<Agent[]> {
  const list = async (query: { live?: boolean; limit: number; after?: string }) => got(api.GET("/api/v1/entities/{entity}/agents", { params: { path: { entity }, query } }));
  const [live, newest] = await Promise.all([allPages(async (query) => list({ ...query, live: true })), list({ limit: NEWEST_AGENTS })]);
  const known = new Set(live.map((agent) => agent.id));
  return [...live, ...newest.items.filter((agent) => !known.has(agent.id))];
}

/** The agents of several entities: those that live, then those that ended, the newest first. */
export const agentsQuery = (entities: string[]) =>
  queryOptions({
    queryKey: ["agents", ...entities],
    queryFn: async (): Promise<Agent[]> => {
      const all = (await Promise.all(entities.map(agentsOf))).flat();
      const ended = (agent: Agent) => agent.status === "killed";
      return [...all.filter((agent) => !ended(agent)), ...all.filter(ended)];
    },
    refetchInterval: () => pollEvery(),
    enabled: entities.length > 0,
  });

/** The last lines that an agent said of itself. */
export const agentLogQuery = (id: string) =>
  queryOptions({
    queryKey: ["agent-log", id],
    queryFn: async () => (await got(api.GET("/api/v1/agents/{id}/log", { params: { path: { id }, query: { limit: 500 } } }))).items,
    // An agent's words have no events.
    refetchInterval: 2_000,
  });

const projectPath = (entity: string, project: string) => ({ path: { entity, project } });

export const jobsQuery = (entity: string, project: string) =>
  queryOptions({
    queryKey: ["jobs", entity, project],
    queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/entities/{entity}/projects/{project}/jobs", { params: { ...projectPath(entity, project), query } }))),
  });

export const jobQuery = (entity: string, project: string, name: string) =>
  queryOptions({
    queryKey: ["job", entity, project, name],
    queryFn: async () =>
      (
        await got(
          api.GET("/api/v1/entities/{entity}/projects/{project}/jobs/{name}", { params: { path: { entity, project, name } } }),
        )
      ).job,
  });

export const jobVersionsQuery = (entity: string, project: string, name: string) =>
  queryOptions({
    queryKey: ["job", entity, project, name, "versions"],
    queryFn: async () =>
      allPages(async (query) =>
        got(api.GET("/api/v1/entities/{entity}/projects/{project}/jobs/{name}/versions", { params: { path: { entity, project, name }, query } })),
      ),
  });

export const jobVersionQuery = (entity: string, project: string, name: string, version: string) =>
  queryOptions({
    queryKey: ["job", entity, project, name, "versions", version],
    queryFn: async () =>
      (
        await got(
          api.GET("/api/v1/entities/{entity}/projects/{project}/jobs/{name}/versions/{version}", {
            params: { path: { entity, project, name, version } },
          }),
        )
      ).version,
  });

export const jobDiffQuery = (entity: string, project: string, name: string, from: string, to: string) =>
  queryOptions({
    queryKey: ["job", entity, project, name, "diff", from, to],
    queryFn: async () =>
      (
        await got(
          api.GET("/api/v1/entities/{entity}/projects/{project}/jobs/{name}/diff", {
            params: { path: { entity, project, name }, query: { from, to } },
          }),
        )
      ).diff,
    enabled: from !== "" && to !== "" && from !== to,
  });

export interface RunFilter {
  filter?: string;
  order?: string;
  state?: string;
  /** `config.…` and `summary.…` keys, as a JSON list: configs and summaries have these alone, under their dotted names. */
  keys?: string;
}

/** The first page is what a screen shows, so that it is there soon; those that follow while one scrolls are longer. */
const FIRST_RUNS = 60;

export const runsQuery = (entity: string, project: string, filter: RunFilter, limit = 200) =>
  infiniteQueryOptions({
    queryKey: ["runs", entity, project, filter, limit],
    queryFn: async ({ pageParam }) =>
      runsOf(
        await got(
          api.GET("/api/v1/entities/{entity}/projects/{project}/runs", {
            params: { ...projectPath(entity, project), query: { ...filter, ...(pageParam ? { limit, after: pageParam } : { limit: Math.min(limit, FIRST_RUNS) }) } },
            parseAs: "text",
          }),
        ),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next ?? undefined,
  });

/** The first runs of a list with all that they have. */
export const firstRunsQuery = (entity: string, project: string, which: { order: string; filter?: string }, limit: number) =>
  queryOptions({
    queryKey: ["runs", entity, project, "first", which, limit],
    queryFn: async () => (await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs", { params: { ...projectPath(entity, project), query: { ...which, limit } } }))).items,
    staleTime: 5_000,
  });

/** The newest runs that a filter leaves, without their configs and summaries. */
export const projectRunsQuery = (entity: string, project: string, filter: string | undefined, limit: number) =>
  queryOptions({
    queryKey: ["runs", entity, project, "names", filter, limit],
    queryFn: async () => {
      const query = { keys: "[]", limit, ...(filter === undefined ? {} : { filter }) };
      return (await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs", { params: { ...projectPath(entity, project), query } }))).items;
    },
  });

/** Some runs with all that they have, at most a hundred; those that fit a filter, where one is given. */
export const wholeRunsQuery = (entity: string, project: string, ids: string[], filter?: string) =>
  queryOptions({
    queryKey: ["runs", entity, project, "whole", ids, filter ?? ""],
    queryFn: async () => {
      const some = JSON.stringify({ name: { $in: ids } });
      const query = { filter: filter ? `{"$and":[${filter},${some}]}` : some, limit: 100 };
      return runsOf(await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs", { params: { ...projectPath(entity, project), query }, parseAs: "text" }))).items;
    },
    staleTime: 5_000,
  });

/** Runs by equal values of some keys, with how the metrics of each group lie. */
export const runGroupsQuery = (entity: string, project: string, by: string[], metrics: string[], filter: string | undefined) =>
  queryOptions({
    queryKey: ["runs", entity, project, "groups", by, metrics, filter ?? ""],
    queryFn: async () =>
      (
        await got(
          api.GET("/api/v1/entities/{entity}/projects/{project}/run-groups", {
            params: { ...projectPath(entity, project), query: { by: JSON.stringify(by), ...(metrics.length > 0 ? { metrics: JSON.stringify(metrics) } : {}), ...(filter ? { filter } : {}) } },
          }),
        )
      ).items,
  });

/** The keys that configs and summaries of a project's runs have. */
export const runKeysQuery = (entity: string, project: string) =>
  queryOptions({
    queryKey: ["run-keys", entity, project],
    queryFn: async () => (await got(api.GET("/api/v1/entities/{entity}/projects/{project}/run-keys", { params: projectPath(entity, project) }))).items,
    staleTime: 30_000,
  });

const runPath = (entity: string, project: string, run: string) => ({ path: { entity, project, run } });

export const runQuery = (entity: string, project: string, run: string) =>
  queryOptions({
    queryKey: ["run", entity, project, run],
    queryFn: async (): Promise<Run> =>
      runOf(await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { params: runPath(entity, project, run), parseAs: "text" }))),
    refetchInterval: (query) => (query.state.data && isEnded(query.state.data.state) ? 30_000 : 2_000),
  });

export const runFilesQuery = (entity: string, project: string, run: string) =>
  queryOptions({
    queryKey: ["run", entity, project, run, "files"],
    queryFn: async () =>
      allPages(async (query) => got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/files", { params: { ...runPath(entity, project, run), query } }))),
  });

export const runArtifactsQuery = (entity: string, project: string, run: string, relation: "output" | "input") =>
  queryOptions({
    queryKey: ["run", entity, project, run, "artifacts", relation],
    queryFn: async () =>
      (
        await got(
          api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/artifacts", {
            params: { ...runPath(entity, project, run), query: { relation } },
          }),
        )
      ).items,
  });

export const runJobQuery = (entity: string, project: string, run: string) =>
  queryOptions({
    queryKey: ["run", entity, project, run, "job"],
    queryFn: async () =>
      (await got(api.GET("/api/v1/entities/{entity}/projects/{project}/runs/{run}/job", { params: runPath(entity, project, run) })))
        .job,
  });

export const artifactsQuery = (entity: string, project: string) =>
  queryOptions({
    queryKey: ["artifacts", entity, project],
    queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/entities/{entity}/projects/{project}/artifacts", { params: { ...projectPath(entity, project), query } }))),
  });

/** The versions of one artifact, the newest first. */
export const artifactVersionsQuery = (path: Pick<Artifact, "entity" | "project" | "type" | "name">) =>
  queryOptions({
    queryKey: ["artifacts", path.entity, path.project, path.type, path.name],
    queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/entities/{entity}/projects/{project}/artifacts/{type}/{name}", { params: { path, query } }))),
  });

/** The files of a version of an artifact. */
export const artifactFilesQuery = (id: string | undefined) =>
  queryOptions({
    queryKey: ["artifacts", id, "files"],
    queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/artifacts/{id}/files", { params: { path: { id: id ?? "" }, query } }))),
    enabled: id !== undefined,
  });

/** What was used in several entities, by key. The server answers for one at a time. */
export const usageQuery = (by: string, since: string, entities: string[]) =>
  queryOptions({
    queryKey: ["usage", by, since, ...entities],
    queryFn: async (): Promise<Usage[]> => {
      const lists = await Promise.all(entities.map(async (entity) => (await got(api.GET("/api/v1/usage", { params: { query: { by, since, entity } } }))).items));
      const sums = new Map<string, Usage>();
      for (const row of lists.flat()) {
        const known = sums.get(row.key);
        sums.set(
          row.key,
          known
            ? { key: row.key, items: known.items + row.items, wall_hours: known.wall_hours + row.wall_hours, cpu_hours: known.cpu_hours + row.cpu_hours, gpu_hours: known.gpu_hours + row.gpu_hours }
            : row,
        );
      }
      return [...sums.values()].sort((one, other) => other.wall_hours - one.wall_hours);
    },
  });
