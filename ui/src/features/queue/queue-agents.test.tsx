// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { agentLogQuery, agentsQuery, meQuery } from "../../api/queries";
import type { Agent, Queue } from "../../api/types";
import { QueueAgents } from "./queue-agents";

afterEach(cleanup);

const agent = (id: string, status: string, host: string, queue = "gpu") =>
  ({ id, entity: "team", name: `agent-${id}`, host, status, version: "0.1.0", queues: [queue], items: [], slots: 1, created_at: "2026-01-01T00:00:00Z", last_seen: "2026-01-01T00:00:00Z" }) as unknown as Agent;
const agents = [agent("a1", "polling", "big"), agent("a2", "draining", "small"), agent("a3", "polling", "small"), agent("a4", "polling", "big", "other")];

function open(address: string, said: Queue["agents"] = []) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, refetchInterval: false } } });
  queries.setQueryData(meQuery.queryKey, { username: "ana", admin: false, entity: "ana", entities: [{ name: "team", kind: "team", role: "member" }] } as never);
  queries.setQueryData(agentsQuery(["team"]).queryKey, agents);
  for (const { id } of agents) queries.setQueryData(agentLogQuery(id).queryKey, []);
  window.history.replaceState(null, "", address);
  const router = createBrowserRouter([{ path: "/launch/team/gpu/agents", element: <QueueAgents queue={{ entity: "team", name: "gpu", agents: said } as unknown as Queue} /> }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return router;
}
const names = () => within(screen.getByRole("table", { name: "Agents", hidden: true })).getAllByText(/^agent-/).map((cell) => cell.textContent);

test("the agents of a queue are filtered by chips and words, in the address", async () => {
  const router = open("/launch/team/gpu/agents");
  expect(names()).toEqual(["agent-a1", "agent-a2", "agent-a3"]);
  const field = screen.getByRole("combobox", { name: "Filter agents" });
  fireEvent.change(field, { target: { value: "status:polling" } });
  fireEvent.keyDown(field, { key: "Enter" });
  await expect.poll(names).toEqual(["agent-a1", "agent-a3"]);
  await expect.poll(() => window.location.search).toBe("?f=status%3Dpolling");
  fireEvent.change(field, { target: { value: "small" } });
  expect(names()).toEqual(["agent-a3"]);
  fireEvent.change(field, { target: { value: "nowhere" } });
  await screen.findByText("Nothing fits the filters.");
  router.dispose();
});

test("the drawer of an agent goes to its neighbours in the list that is left", async () => {
  const router = open("/launch/team/gpu/agents?f=status%3Dpolling&agent=a1");
  const drawer = await screen.findByRole("dialog", { name: "Agent agent-a1" });
  fireEvent.keyDown(drawer, { key: "ArrowDown" });
  await screen.findByRole("dialog", { name: "Agent agent-a3" });
  expect(new URLSearchParams(window.location.search).get("agent")).toBe("a3");
  // The end of the list: it stays.
  fireEvent.keyDown(screen.getByRole("dialog"), { key: "ArrowDown" });
  fireEvent(screen.getByRole("dialog"), new Event("cancel", { cancelable: true }));
  await expect.poll(() => screen.queryByRole("dialog")).toBeNull();
  expect(window.location.search).toBe("?f=status%3Dpolling");
  router.dispose();
});

test("the table says of an agent what the queue says of it", () => {
  const router = open("/launch/team/gpu/agents", [{ id: "a1", name: "agent-a1", status: "not_polling" }]);
  const table = within(screen.getByRole("table", { name: "Agents" }));
  expect([table.getAllByText("Not polling").length, table.getAllByText("Polling").length]).toEqual([1, 1]);
  router.dispose();
});
