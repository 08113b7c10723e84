// @vitest-environment jsdom
import { listOf, server } from "../../testing/fake-server";
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

const agent = (status: string): Agent => ({ id: "a1", entity: "dev", name: "one", host: "h", version: "lanza@1", status, slots: 1, items: [], queues: ["gpu"], created_at: "2026-01-01T00:00:00Z", last_seen: "2026-01-01T00:00:00Z" });

async function drain(status: string) {
  server.on("GET /me", { username: "ana", admin: true, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] });
  server.on("GET /agents/a1/log", listOf([]));
  server.on("POST /agents/a1/drain", { agent: agent(status) });
  drawAt("/agents?agent=a1", { "/agents": <><AgentTable agents={[agent(status)]} /><Notices /></> });
  fireEvent.click(await screen.findByRole("button", { name: "Drain" }));
  const asked = screen.getByRole("dialog", { name: "Drain this agent?" });
  const text = asked.textContent;
  fireEvent.click(within(asked).getByRole("button", { name: "Drain" }));
  await expect.poll(() => server.sent.map((one) => one.path)).toEqual(["/agents/a1/drain"]);
  return text;
}

test("a silent agent hears what it is told when it comes back, and the page says so", async () => {
  expect(await drain("not_polling")).toContain("hears of this when it comes back");
  expect(await screen.findByText("one is silent. It drains when it comes back.")).toBeTruthy();
});

test("an agent that is there hears it at once", async () => {
  expect(await drain("polling")).not.toContain("silent");
});
