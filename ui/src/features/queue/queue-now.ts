import { useQuery } from "@tanstack/react-query";
import { agentsQuery, queueQuery } from "../../api/queries";
import type { Agent, Queue } from "../../api/types";

/** The queue with its agents in the status that the newest answer gives them. The list of agents is asked apart and at other
    times: what is said above a table is not older or newer than the table. */
export function useQueueNow(entity: string, name: string) {
  const queue = useQuery(queueQuery(entity, name));
  // Whoever shows the list asks for it; here is only looked at what came.
  const agents = useQuery({ ...agentsQuery([entity]), enabled: false, refetchInterval: false });
  const newer = agents.data !== undefined && agents.dataUpdatedAt > queue.dataUpdatedAt;
  return (queue.data && newer ? { ...queue, data: { ...queue.data, agents: withStatus(queue.data.agents, agents.data) } } : queue) as typeof queue;
}

/** Agents with the status that others say they have, where they do. */
function withStatus<T extends Pick<Agent, "id" | "status">>(agents: T[], said: Pick<Agent, "id" | "status">[]): T[] {
  const known = new Map(said.map((agent) => [agent.id, agent.status]));
  return agents.map((agent) => ({ ...agent, status: known.get(agent.id) ?? agent.status }));
}

/** Agents with the status that the queue knows of them, where it does. */
export const asQueueSays = (queue: Pick<Queue, "agents">, agents: Agent[]): Agent[] => withStatus(agents, queue.agents);
