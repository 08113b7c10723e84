// @vitest-environment jsdom
/** What screens offer to whom. */
import { server } from "../testing/fake-server";
import { cleanup, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { drawAt } from "../testing/at";
import { Component as Job } from "./job/job";
import { Component as Queue } from "./queue/queue";
import { Component as Queues } from "./queue/queues";
import { Component as Settings } from "./settings/settings";

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });
  const queue = { entity: "lab", name: "gpu", target: "docker", policy: {}, counts: {}, agents: [] };
  server.on("GET /entities/lab/queues/gpu", { queue });
  server.on("GET /entities/lab/queues", { items: [queue] });
  server.on("GET /items", { items: [] });
  server.on("GET /entities/lab/projects/p/jobs/train", { job: { name: "train", latest: null } });
  server.on("GET /me/keys", { items: [] });
});
afterEach(() => {
  cleanup();
  server.clear();
  vi.unstubAllGlobals();
});

const as = (role: string, scope = "full") => server.on("GET /me", { username: "ana", admin: false, entity: "lab", scope, entities: [{ name: "lab", kind: "team", role }] });
/** The button of that name: whether it can be used, or null where there is none. */
async function button(address: string, path: string, screenOf: () => React.ReactNode, title: string, name: string) {
  const Screen = screenOf;
  drawAt(address, { [path]: <Screen /> });
  await screen.findByRole("heading", { level: 1, name: title });
  await new Promise((done) => setTimeout(done, 30));
  const found = screen.queryByRole<HTMLButtonElement>("button", { name });
  const answer = found && [!found.matches(":disabled"), found.title];
  cleanup();
  return answer;
}
const launchOnQueue = async () => button("/launch/lab/gpu/agents", "/launch/:entity/:queue/:tab", Queue, "gpu", "Launch");
const launchOfJob = async () => button("/lab/p/jobs/train", "/:entity/:project/jobs/:name", Job, "train", "Launch");
const create = async () => button("/launch", "/launch", Queues, "Queues", "Create queue");
const newKey = async () => button("/settings/keys", "/settings/:tab", Settings, "Settings", "New key");

test("viewers launch nothing and make no queues; members make none either", async () => {
  as("viewer");
  expect([await launchOnQueue(), await launchOfJob(), await create()]).toEqual([null, null, [false, "Only admins of a team make its queues."]]);
  as("member");
  expect([await launchOnQueue(), await launchOfJob(), await create()]).toEqual([[true, ""], [true, ""], [false, "Only admins of a team make its queues."]]);
  as("admin");
  expect(await create()).toEqual([true, ""]);
});

test("a key that only reads is offered nothing", async () => {
  as("admin", "read");
  expect([await launchOnQueue(), await launchOfJob(), (await create())?.[0], (await newKey())?.[0]]).toEqual([null, null, false, false]);
  as("admin");
  expect(await newKey()).toEqual([true, ""]);
});
