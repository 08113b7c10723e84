/** Fills a server through the routes of the wandb client: many runs with many keys, long histories, a long log. */
import type { World } from "./world";

export interface Seed {
  post: (path: string, body: unknown) => Promise<unknown>;
}

export function seeder(w: Pick<World, "url" | "key">): Seed {
  const authorization = `Basic ${Buffer.from(`any:${w.key}`).toString("base64")}`;
  return {
    post: async (path, body) => {
      const response = await fetch(`${w.url}${path}`, { method: "POST", headers: { authorization, "content-type": "application/json" }, body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
      return response.json();
    },
  };
}

/** Numbers that are the same at each start. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const UPSERT = `mutation UpsertBucket($name: String, $project: String, $entity: String, $config: JSONString, $tags: [String!], $displayName: String, $summaryMetrics: JSONString, $sweep: String) {
  upsertBucket(input: {name: $name, modelName: $project, entityName: $entity, config: $config, tags: $tags, displayName: $displayName, summaryMetrics: $summaryMetrics, sweep: $sweep}) { bucket { id } } }`;

export async function upsert(seed: Seed, run: { name: string; project: string; config: object; summary?: object; tags?: string[]; title?: string; sweep?: string }) {
  const wrapped = Object.fromEntries(Object.entries(run.config).map(([key, value]) => [key, { value: value as unknown }]));
  const variables = {
    name: run.name,
    project: run.project,
    entity: "dev",
    displayName: run.title ?? run.name,
    tags: run.tags ?? [],
    config: JSON.stringify(wrapped),
    ...(run.sweep ? { sweep: run.sweep } : {}),
    ...(run.summary ? { summaryMetrics: JSON.stringify(run.summary) } : {}),
  };
  await seed.post("/graphql", { query: UPSERT, variables });
}

export async function finish(seed: Seed, project: string, run: string) {
  await seed.post(`/files/dev/${project}/${run}/file_stream`, { complete: true, exitcode: 0 });
}

/** Does `work(0) … work(n - 1)`, a few at a time. */
export async function many(n: number, work: (index: number) => Promise<void>, atOnce = 8) {
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < n) await work(next++);
    }),
  );
}

/** Runs of a table: a few settings, many keys in the summary. */
export async function manyRuns(seed: Seed, project: string, runs: number, keys: number) {
  await many(runs, async (index) => {
    const random = numbers(index + 1);
    const summary: Record<string, number> = { "train/loss": random(), "val/accuracy": random() };
    for (let key = 2; key < keys; key++) summary[`layer${key % 40}/metric_${key}`] = Number(random().toPrecision(6));
    const name = `r${String(index).padStart(6, "0")}`;
    await upsert(seed, { name, project, title: `run-${index}`, config: { lr: [0.1, 0.03, 0.01][index % 3], optimizer: ["adam", "sgd"][index % 2], seed: index }, summary, tags: index % 7 === 0 ? ["baseline"] : [] });
    await finish(seed, project, name);
  });
}

/** Runs with a long history of a few keys. */
export async function longRuns(seed: Seed, project: string, runs: number, keys: number, steps: number) {
  await many(
    runs,
    async (index) => {
      const name = `long${index}`;
      const random = numbers(index + 77);
      await upsert(seed, { name, project, title: `long-${index}`, config: { seed: index } });
      const at = 5_000;
      let last: Record<string, number> = {};
      for (let offset = 0; offset < steps; offset += at) {
        const content: string[] = [];
        for (let step = offset; step < Math.min(steps, offset + at); step++) {
          last = { _step: step, _runtime: step / 10, _timestamp: 1_780_000_000 + step / 10 };
          for (let key = 0; key < keys; key++) last[`train/metric_${key}`] = Number((Math.exp(-step / (steps / 4)) + 0.1 * random()).toPrecision(6));
          content.push(JSON.stringify(last));
        }
        await seed.post(`/files/dev/${project}/${name}/file_stream`, { files: { "wandb-history.jsonl": { offset, content } } });
      }
      await seed.post(`/files/dev/${project}/${name}/file_stream`, { files: { "wandb-summary.json": { offset: 0, content: [JSON.stringify(last)] } } });
      await finish(seed, project, name);
    },
    4,
  );
}

/** A run that wrote so many lines. */
export async function longLog(seed: Seed, project: string, run: string, lines: number) {
  await upsert(seed, { name: run, project, title: run, config: {} });
  const at = 20_000;
  for (let offset = 0; offset < lines; offset += at) {
    const content = Array.from({ length: Math.min(at, lines - offset) }, (_, index) => `2026-11-20T10:00:00.000000 step ${offset + index + 1} of the log, loss 0.1234`);
    await seed.post(`/files/dev/${project}/${run}/file_stream`, { files: { "output.log": { offset, content } } });
  }
  await finish(seed, project, run);
}
