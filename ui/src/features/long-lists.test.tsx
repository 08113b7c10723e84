// @vitest-environment jsdom
/** Lists that are longer than a page of the server: they are read to their end, read on when one asks, or say what they leave out. */
import { listOf, server } from "../testing/fake-server";
import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { NEWEST_AGENTS } from "../api/queries";
import type { Agent, Queue, Run } from "../api/types";
import { Palette } from "../app/palette";
import { drawAt } from "../testing/at";
import { EndedCut } from "./agents/agent-table";
import { Component as Home } from "./home/home";
import { LaunchDrawer } from "./launch/launch-drawer";
import { PasteFrom } from "./launch/paste-from";
import { QueueHistory } from "./queue/queue-history";
import { metadataQuery } from "./run/metadata";
import { RunFiles } from "./run/run-files";

afterEach(() => {
  cleanup();
  server.clear();
});

const many = <T extends object>(n: number, make: (index: number) => T) => Array.from({ length: n }, (_, index) => make(index));
const time = "2026-01-01T00:00:00Z";
const me = { username: "ana", admin: false, entity: "dev", entities: [{ name: "dev", kind: "user", role: "admin" }] };
const item = (index: number) => ({ id: `item-${index}`, name: `launch-${index}`, entity: "dev", queue: "gpu", project: "p", job: "dev/p/train:v1", state: "finished", author: "ana", attempt: 1, created_at: time, inputs: { lr: index } });

test("the files of a run are read to their end, and what the client wrote among them is found", async () => {
  const file = (name: string) => ({ name, size_bytes: 5, mimetype: "application/json", updated_at: time, url: `${window.location.origin}/storage/${name}` });
  server.on("GET /entities/dev/projects/p/runs/r1/files", listOf([...many(1_200, (index) => file(`media/${String(index).padStart(4, "0")}.json`)), file("wandb-metadata.json")]));
  server.on("GET /storage/wandb-metadata.json", { program: "train.py" });
  const run = { entity: "dev", project: "p", id: "r1" } as Run;
  const page = drawAt("/", { "/": <RunFiles run={run} /> });
  fireEvent.change(await screen.findByRole("combobox", { name: "Filter files" }), { target: { value: "wandb-" } });
  expect(within(screen.getByRole("table", { name: "Files" })).getAllByRole("row")).toHaveLength(2);
  expect(screen.getByRole("button", { name: "wandb-metadata.json" })).toBeTruthy();
  expect(await page.queries.fetchQuery(metadataQuery(run))).toEqual({ program: "train.py" });
});

test("the changes of a queue go on", async () => {
  server.on("GET /entities/dev/queues/gpu/history", listOf(many(60, (index) => ({ id: index, time, actor: `user-${index}`, verb: "paused", kind: "queue", object: "q", changes: [] }))));
  drawAt("/", { "/": <QueueHistory queue={{ entity: "dev", name: "gpu" } as Queue} /> });
  await screen.findByText("user-49");
  expect(screen.queryByText("user-50")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Show more" }));
  await screen.findByText("user-59");
  expect(screen.queryByRole("button", { name: "Show more" })).toBeNull();
});

test("one's own launches go on at home", async () => {
  server.on("GET /me", me);
  server.on("GET /items", listOf(many(25, item)));
  server.on("GET /entities/dev/queues", listOf([]));
  server.on("GET /entities/dev/projects", listOf([{ entity: "dev", name: "p", runs: 40, created_at: time }]));
  server.on("GET /entities/dev/projects/p/runs", listOf(many(40, (index) => ({ id: `r${index}`, entity: "dev", project: "p", name: `run ${index}`, author: "ana", state: "finished", created_at: time, config: {}, summary: {}, tags: [] }))));
  drawAt("/", { "/": <Home /> });
  const rows = async () => within(await screen.findByRole("table", { name: "My items" })).getAllByRole("row").length - 1;
  await expect.poll(rows).toBe(20);
  expect(screen.getByText("The first 20 launches are shown.")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Show more" }));
  await expect.poll(rows).toBe(25);
  expect(screen.getByText("The newest 12 are shown; the pages of the projects have all.")).toBeTruthy();
});

test("who chooses what to launch is told which jobs are not listed", async () => {
  server.on("GET /me", me);
  server.on("GET /entities/dev/projects", listOf(many(52, (index) => ({ entity: "dev", name: `p${index}`, runs: 1, created_at: time }))));
  for (let index = 0; index < 52; index++)
    server.on(`GET /entities/dev/projects/p${index}/jobs`, listOf(index === 0 ? many(120, (n) => ({ entity: "dev", project: "p0", name: `job-${n}`, versions: 1 })) : []));
  drawAt("/", { "/": <LaunchDrawer job={null} onClose={() => undefined} /> });
  const list = await screen.findByRole("list", { name: "Jobs" });
  expect(within(list).getAllByRole("button")).toHaveLength(100);
  const notes = () => screen.queryAllByRole("note").map((note) => note.textContent);
  expect(notes()).toEqual(["The first 100 of 120 jobs are listed: type a part of a name to find others.", "The jobs of 50 of 52 projects are listed. Others are launched from their own pages."]);
  // What was cut is found by typing.
  fireEvent.change(screen.getByRole("searchbox", { name: "Filter jobs" }), { target: { value: "job-119" } });
  expect(within(list).getAllByRole("button").map((button) => button.textContent)).toEqual([expect.stringContaining("job-119")]);
  expect(notes()).toHaveLength(1);
});

test("who pastes is told among what is looked", async () => {
  server.on("GET /items", listOf(many(130, item)));
  server.on("GET /entities/dev/projects/p/runs", listOf(many(50, (index) => ({ id: `r${index}`, entity: "dev", project: "p", name: `run ${index}`, state: "finished", created_at: time, config: {} }))));
  drawAt("/", { "/": <PasteFrom job="dev/p/train" entity="dev" project="p" onPaste={() => undefined} /> });
  fireEvent.click(await screen.findByRole("button", { name: "Paste from…" }));
  await screen.findByText("launch-0");
  await screen.findByText("run 0");
  const launches = screen.getByRole("region", { name: "Launches of the job" });
  expect(within(launches).getByRole("note").textContent).toBe("The newest 20 are shown: type a part of a name to find others. They are looked for among the newest 100 launches.");
  expect(within(screen.getByRole("region", { name: "Runs of dev/p" })).getByRole("note").textContent).toContain("The newest 20 are shown");
  fireEvent.change(screen.getByRole("searchbox"), { target: { value: "launch-120" } });
  // None of those that were read: it is no claim that there is none.
  expect(within(launches).getByRole("note").textContent).toBe("They are looked for among the newest 100 launches.");
});

test("the commands say how many are not drawn", async () => {
  server.on("GET /me", me);
  server.on("GET /entities/dev/queues", listOf(many(80, (index) => ({ id: `q${index}`, entity: "dev", name: `queue-${index}`, counts: {}, agents: [] }))));
  server.on("GET /entities/dev/projects", listOf([]));
  drawAt("/", { "/": <Palette onClose={() => undefined} signOut={() => undefined} /> });
  fireEvent.change(await screen.findByRole("combobox", { name: "Command" }), { target: { value: "queue-" } });
  await screen.findByText("30 more: type on to find them.");
  expect(screen.getAllByRole("option")).toHaveLength(50);
  fireEvent.change(screen.getByRole("combobox", { name: "Command" }), { target: { value: "queue-79" } });
  expect(screen.queryByText(/type on/)).toBeNull();
});

test("agents that ended long ago are left out aloud", () => {
  const agents = (n: number) => many(n, () => ({}) as Agent);
  drawAt("/", { "/": <EndedCut agents={agents(NEWEST_AGENTS)} /> });
  expect(screen.getByRole("note").textContent).toBe("Of the agents that ended, the newest are shown.");
  cleanup();
  drawAt("/", { "/": <EndedCut agents={agents(NEWEST_AGENTS - 1)} /> });
  expect(screen.queryByRole("note")).toBeNull();
});
