import { useQuery } from "@tanstack/react-query";
import { agentsQuery } from "../../api/queries";
import type { Queue } from "../../api/types";
import { Empty, View } from "../../components/view";
import { useAgentFilter } from "../agents/agent-filter";
import { AgentTable, EndedCut } from "../agents/agent-table";
import { asQueueSays } from "./queue-now";

/** The agents that serve a queue, or did. */
export function QueueAgents({ queue }: { queue: Queue }) {
  const agents = useQuery(agentsQuery([queue.entity]));
  const ids = new Set(queue.agents.map((agent) => agent.id));
  const serve = (agents.data ?? []).filter((agent) => ids.has(agent.id) || agent.queues.includes(queue.name));
  const all = asQueueSays(queue, serve);
  const filter = useAgentFilter(all);
  return (
    <View query={agents} height={160}>
      {() => (
        <>
          {all.length > 0 && filter.bar}
          <AgentTable agents={filter.shown} all={all} empty={all.length === 0 && <Empty>No agent has polled this queue.</Empty>} />
          {all.length > 0 && filter.none}
          <EndedCut agents={agents.data ?? []} />
        </>
      )}
    </View>
  );
}
