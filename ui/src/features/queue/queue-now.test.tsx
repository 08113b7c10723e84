// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { expect, test } from "vitest";
import { agentsQuery, queueQuery } from "../../api/queries";
import type { Agent, Queue } from "../../api/types";
import { asQueueSays, useQueueNow } from "./queue-now";

const queue = (status: string) => ({ entity: "team", name: "gpu", agents: [{ id: "a1", name: "agent-a1", status }, { id: "a2", name: "agent-a2", status: "polling" }] }) as unknown as Queue;
const agent = (id: string, status: string) => ({ id, status }) as Agent;

/** What is said above the table and in it, after answers that came in this order. */
function said(answers: ["queue" | "agents", string][]) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, refetchInterval: false, retry: false } } });
  let list: Agent[] = [];
  answers.forEach(([of, status], at) => {
    if (of === "queue") queries.setQueryData(queueQuery("team", "gpu").queryKey, queue(status), { updatedAt: at + 1 });
    else queries.setQueryData(agentsQuery(["team"]).queryKey, (list = [agent("a1", status), agent("a9", "running")]), { updatedAt: at + 1 });
  });
  const wrapper = ({ children }: { children: ReactNode }) => <QueryClientProvider client={queries}>{children}</QueryClientProvider>;
  const now = renderHook(() => useQueueNow("team", "gpu"), { wrapper }).result.current.data!;
  return [now.agents.map(({ status }) => status), asQueueSays(now, list).map(({ status }) => status)];
}

test("an agent's status is the newest one, above its table and in it", () => {
  expect(said([["agents", "polling"], ["queue", "not_polling"]])).toEqual([["not_polling", "polling"], ["not_polling", "running"]]);
  expect(said([["queue", "polling"], ["agents", "not_polling"]])).toEqual([["not_polling", "polling"], ["not_polling", "running"]]);
  // Without the list the queue knows.
  expect(said([["queue", "running"]])).toEqual([["running", "polling"], []]);
});
