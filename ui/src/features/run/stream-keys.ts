import { queryOptions } from "@tanstack/react-query";
import { api, got } from "../../api/client";
import { isEnded } from "../../api/queries";
import type { Run } from "../../api/types";

/** The names of the numbers in a run's history or system metrics: one bucket of each is enough to learn them. */
export const streamKeysQuery = (run: Pick<Run, "entity" | "project" | "id" | "state">, stream: "history" | "system") =>
  queryOptions({
    queryKey: ["series", run.entity, run.project, run.id, stream, "keys"],
    queryFn: async () => {
      const params = { path: { entity: run.entity, project: run.project, run: run.id }, query: { points: 1 } };
      const { series } = await got(api.GET(`/api/v1/entities/{entity}/projects/{project}/runs/{run}/${stream}`, { params }));
      return Object.keys(series)
        .filter((key) => !key.startsWith("_"))
        .sort();
    },
    refetchInterval: isEnded(run.state) ? false : 15_000,
  });
