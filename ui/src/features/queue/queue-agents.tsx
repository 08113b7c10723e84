import { useQuery } from "@tanstack/react-query";
import { agentsQuery } from "../../api/queries";
import type { Queue } from "../../api/types";
import { Empty, View } from "../../components/view";
import { AgentTable } from "../agents/agent-table";

/** The agents that serve a queue, or did. */
export function QueueAgents({ queue }: { queue: Queue }) {
  const agents = useQuery(agentsQuery([queue.entity]));
  const ids = new Set(queue.agents.map((agent) => agent.id));
  return (
    <View query={agents} height={160} empty={(all) => (all.some((agent) => ids.has(agent.id) || agent.queues.includes(queue.name)) ? null : <Empty>No agent has polled this queue.</Empty>)}>
      {(all) => <AgentTable agents={all.filter((agent) => ids.has(agent.id) || agent.queues.includes(queue.name))} />}
    </View>
  );
}
