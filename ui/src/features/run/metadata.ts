/** What the client wrote down about where a run ran: its file `wandb-metadata.json`. */
import { queryOptions } from "@tanstack/react-query";
import { readText } from "../../api/client";
import { runFilesQuery } from "../../api/queries";
import type { Run } from "../../api/types";
import { shellWord } from "../../format/text";
import { local } from "./run-files";

export interface Metadata {
  os?: string;
  python?: string;
  program?: string;
  codePath?: string;
  args?: string[];
  executable?: string;
  cpu_count?: number;
  gpu?: string;
  gpu_count?: number;
  memory?: { total?: string | number };
}

export const metadataQuery = (run: Run) =>
  queryOptions({
    queryKey: ["run", run.entity, run.project, run.id, "metadata"],
    queryFn: async ({ client, signal }): Promise<Metadata | null> => {
      const files = await client.fetchQuery(runFilesQuery(run.entity, run.project, run.id));
      const file = files.find((one) => one.name === "wandb-metadata.json");
      if (!file) return null;
      const value: unknown = JSON.parse(await readText(local(file.url), signal));
      return value && typeof value === "object" ? (value as Metadata) : null;
    },
    staleTime: 60_000,
    // A run without it is no reason to complain.
    retry: false,
  });

/** How the run was started, as one would type it. */
export function commandLine(data: Metadata): string | null {
  const program = data.codePath ?? data.program;
  if (!program) return null;
  const words = [program, ...(data.args ?? [])].map((word) => shellWord(String(word)));
  return `${program.endsWith(".py") ? "python " : ""}${words.join(" ")}`;
}
