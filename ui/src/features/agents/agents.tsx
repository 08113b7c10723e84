import { useQuery } from "@tanstack/react-query";
import { agentsQuery } from "../../api/queries";
import { useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Command } from "../../components/parts";
import { Empty, View } from "../../components/view";
import { agentCommand } from "../../format/text";
import { useAgentFilter } from "./agent-filter";
import { AgentTable, EndedCut } from "./agent-table";

/** All agents of the chosen entity, or of all. */
export function Component() {
  const { entities, one } = useScope();
  const agents = useQuery(agentsQuery(entities));
  const filter = useAgentFilter(agents.data ?? []);
  return (
    <>
      <PageHead title="Agents" />
      <div className="page-body">
        {filter.bar}
        <View query={agents} height={200}>
          {(all) => (
            <>
              <AgentTable
                agents={filter.shown}
                all={all}
                empty={all.length === 0 && <Empty action={<Command text={agentCommand("default", one)} />}>No agent has registered. Start one where jobs should run:</Empty>}
              />
              {all.length > 0 && filter.none}
              <EndedCut agents={all} />
            </>
          )}
        </View>
      </div>
    </>
  );
}
