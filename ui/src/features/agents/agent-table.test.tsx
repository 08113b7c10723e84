// @vitest-environment jsdom
import { server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import type { Agent } from "../../api/types";
import { Notices } from "../../components/notice";
import { drawAt } from "../../testing/at";
import { AgentTable } from "./agent-table";

afterEach(() => {
  cleanup();
  server.clear();
});

const agent = { id: "a1", name: "big", entity: "team", status: "not_polling", host: "h", version: "v", queues: ["gpu"], items: [], slots: 1, resources: {}, created_at: "2026-01-01T00:00:00Z", last_seen: "2026-01-01T00:00:00Z" } as unknown as Agent;

test("who drains a silent agent is told that it hears of it later", async () => {
  server.on("GET /me", { username: "ana", entity: "ana", admin: false, entities: [{ name: "team", kind: "team", role: "admin" }] });
  server.on("POST /agents/a1/drain", {});
  drawAt("/agents?agent=a1", {
    "/agents": (
      <>
        <AgentTable agents={[agent]} />
        <Notices />
      </>
    ),
  });
  fireEvent.click(await screen.findByRole("button", { name: "Drain" }));
  const asked = screen.getByRole("dialog", { name: "Drain this agent?" });
  expect(asked.textContent).toContain("hears of this when it comes back");
  fireEvent.click(within(asked).getByRole("button", { name: "Drain" }));
  await screen.findByText("big is silent. It drains when it comes back.");
});
