import type { Agent } from "../../api/types";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";

const fields: Fields<Agent> = {
  status: (agent) => agent.status,
  queue: (agent) => agent.queues,
  host: (agent) => agent.host,
  name: (agent) => agent.name,
  version: (agent) => agent.version,
  entity: (agent) => agent.entity,
  id: (agent) => agent.id,
};

/** The filter bar of a list of agents, and what it leaves of them. */
export function useAgentFilter(agents: Agent[]) {
  const filter = useListFilter("Filter agents", Object.keys(fields), valuesOf(agents, fields));
  const shown = filter.keep(agents, fields);
  return { bar: <div className="row wrap">{filter.bar}</div>, shown, none: filter.none(shown) };
}
