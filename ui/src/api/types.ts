/** The server's types under their short names; `schema.d.ts` is generated from docs/openapi.json. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Agent = Schemas["Agent"];
export type AttemptSpan = Schemas["AttemptSpan"];
export type Artifact = Schemas["Artifact"];
export type ArtifactFile = Schemas["ArtifactFile"];
export type Attempt = Schemas["Attempt"];
export type Entity = Schemas["Entity"];
export type FileChange = Schemas["FileChange"];
export type Item = Schemas["Item"];
export type JobLoad = Schemas["JobLoad"];
export type JobDiff = Schemas["JobDiff"];
export type Job = Schemas["Job"];
export type JobVersion = Schemas["JobVersion"];
export type Key = Schemas["Key"];
export type KeyScope = Schemas["KeyScope"];
export type Me = Schemas["Me"];
export type Member = Schemas["Member"];
export type Plan = Schemas["Plan"];
export type Project = Schemas["Project"];
export type Queue = Schemas["Queue"];
export type QueueEvent = Schemas["Event"];
export type QueueHistoryLine = Schemas["QueueHistoryLine"];
export type QueueStats = Schemas["QueueStats"];
export type RunGroup = Schemas["RunGroup"];
export type RunKey = Schemas["RunKey"];
/** A run; `exact` where integers of its config or summary are longer than numbers hold (`exact.ts`). */
export type Run = Schemas["Run"] & { exact?: { config: JsonObject; summary: JsonObject } };
export type RunFile = Schemas["RunFile"];
export type Team = Schemas["Team"];
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

/** A number as runs log it; JSON has words for those that are none. */
export type Measured = number | "NaN" | "Infinity" | "-Infinity";

/** A series: `[step, value, min, max]` a point. */
export type Series = [step: number, value: Measured, min: Measured, max: Measured][];
