import { useQuery } from "@tanstack/react-query";
import { agentsQuery, NEWEST_AGENTS } from "../../api/queries";
import { useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Command } from "../../components/parts";
import { Empty, View } from "../../components/view";
import type { Agent } from "../../api/types";
import { AgentTable } from "./agent-table";

const fields: Fields<Agent> = {
  status: (agent) => agent.status,
  queue: (agent) => agent.queues,
  host: (agent) => agent.host,
  name: (agent) => agent.name,
  version: (agent) => agent.version,
  entity: (agent) => agent.entity,
  id: (agent) => agent.id,
};

/** All agents of the chosen entity, or of all. */
export function Component() {
  const { entities, one } = useScope();
  const agents = useQuery(agentsQuery(entities));
  const filter = useListFilter("Filter agents", Object.keys(fields), valuesOf(agents.data ?? [], fields));
  return (
    <>
      <PageHead title="Agents" />
      <div className="page-body">
        <div className="row wrap">{filter.bar}</div>
        <View
          query={agents}
          height={200}
          empty={(all) => (all.length === 0 ? <Empty action={<Command text={`lanza agent -q default -e ${one}`} />}>No agent has registered. Start one where jobs should run:</Empty> : null)}
        >
          {(all) => (
            <>
              <AgentTable agents={filter.keep(all, fields)} />
              {filter.none(filter.keep(all, fields))}
              {all.length >= NEWEST_AGENTS && <p className="quiet">Of the agents that ended, the newest are shown.</p>}
            </>
          )}
        </View>
      </div>
    </>
  );
}
