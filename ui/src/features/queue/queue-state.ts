import type { Queue } from "../../api/types";

/** What a queue is doing, in one word of `components/state`. */
export function queueState(queue: Pick<Queue, "policy" | "counts" | "agents">): "paused" | "draining" | "no agent" | "working" | "ready" {
  if (queue.policy.paused === true) return "paused";
  if (queue.policy.draining === true) return "draining";
  if (!queue.agents.some((agent) => isLive(agent.status))) return "no agent";
  return (queue.counts.running ?? 0) + (queue.counts.leased ?? 0) > 0 ? "working" : "ready";
}

/** Whether an agent in this status takes items. */
export function isLive(status: string): boolean {
  return status === "polling" || status === "running";
}

/** The policy in one line. */
export function policyLine(policy: Record<string, unknown>): string {
  const words: string[] = [];
  const add = (key: string, say: (value: unknown) => string) => policy[key] !== undefined && policy[key] !== null && words.push(say(policy[key]));
  add("max_running", (n) => `at most ${String(n)} running`);
  add("max_running_per_user", (n) => `${String(n)} per user`);
  add("max_duration_seconds", (n) => `stopped after ${String(n)} s`);
  const retry = policy.retry as { max?: number; on?: string[] } | undefined;
  if (retry?.max) words.push(`retried ${retry.max} × on ${(retry.on ?? []).join(", ") || "nothing"}`);
  return words.join(" · ") || "no limits";
}

/** The queue that one probably means: of the same entity, and one that an agent serves. */
export function likely(queues: Queue[], owner: string): Queue | undefined {
  const own = queues.filter((queue) => queue.entity === owner);
  const served = (queue: Queue) => queue.agents.some((agent) => isLive(agent.status));
  return own.find(served) ?? own[0] ?? queues.find(served) ?? queues[0];
}
