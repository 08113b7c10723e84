/** The server's types under their short names; `schema.d.ts` is generated from docs/openapi.json. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Agent = Schemas["Agent"];
export type Artifact = Schemas["Artifact"];
export type ArtifactFile = Schemas["ArtifactFile"];
export type Attempt = Schemas["Attempt"];
export type Entity = Schemas["Entity"];
export type Item = Schemas["Item"];
export type Job = Schemas["Job"];
export type JobVersion = Schemas["JobVersion"];
export type Key = Schemas["Key"];
export type Me = Schemas["Me"];
export type Member = Schemas["Member"];
export type Plan = Schemas["Plan"];
export type Project = Schemas["Project"];
export type Queue = Schemas["Queue"];
export type QueueEvent = Schemas["Event"];
export type Run = Schemas["Run"];
export type RunFile = Schemas["RunFile"];
export type Usage = Schemas["Usage"];
export type User = Schemas["User"];
export type Why = Schemas["Why"];

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** A reason of a failure, as items carry it. */
export interface Reason {
  code: string;
  help: string;
  message: string;
  hint?: string | null;
}

/** A series: `[step, value, min, max]` a point. */
export type Series = [number, number, number, number][];

interface Spread {
  count: number;
  p50_ms?: number | null;
  p95_ms?: number | null;
  max_ms?: number | null;
}
interface Load {
  mean: number;
  max: number;
}
export interface QueueStats {
  since: string;
  until: string;
  counts: Record<string, number>;
  pushed: number;
  ended: Record<string, number>;
  waiting: Spread;
  waiting_histogram: { up_to_ms?: number | null; count: number }[];
  duration: Spread;
  over_time: { width_ms: number; waiting: number[]; running: number[]; pushed: number[]; finished: number[]; failed: number[]; stopped: number[] };
  errors: { cause: string; help: string; message: string; count: number; last_at: string; items: string[] }[];
  errors_cut: boolean;
  users: Usage[];
}
export interface AttemptSpan {
  item: string;
  number: number;
  author: string;
  job?: string | null;
  project: string;
  run?: string | null;
  agent?: string | null;
  agent_name?: string | null;
  gpus: string[];
  state: string;
  begin: string;
  end?: string | null;
  cause?: string | null;
}
export interface JobLoad {
  job?: string | null;
  items: number;
  finished: number;
  failed: number;
  duration: Spread;
  runs_measured: number;
  cpu_percent?: Load | null;
  gpu_percent?: Load | null;
  gpu_memory_percent?: Load | null;
  memory_percent?: Load | null;
  memory_bytes?: Load | null;
}

export interface RunGroup {
  values: unknown[];
  runs: number;
  states: Record<string, number>;
  metrics: Record<string, { count: number; mean?: number | null; min?: number | null; max?: number | null }>;
}
/** A key of the configs or summaries of a project's runs. */
export interface RunKey {
  key: string;
  kinds: string[];
}
