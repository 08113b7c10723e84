/** What can be done with a run, on its page and in its drawer. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useId, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { api, got, problemOf } from "../../api/client";
import { isEnded, runJobQuery } from "../../api/queries";
import type { JsonObject, Run } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useCommands } from "../../app/commands";
import { useMay } from "../../app/scope";
import { say } from "../../components/notice";
import { Confirm, Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { LaunchDrawer, versionedJob } from "../launch/launch-drawer";

/** The version that the run ran, in the address of its launch. */
const AGAIN = "same";

/** Stop, make a job, launch again. That the launch drawer is open is in the address. */
export function RunActions({ run }: { run: Run }) {
  const queries = useQueryClient();
  const may = useMay(run.entity, "member");
  const job = useQuery(runJobQuery(run.entity, run.project, run.id));
  const why = useId();
  const [open, setOpen] = useState<"job" | "stop" | null>(null);
  const [search, change] = useAddress();
  const launch = search.get("launch");
  const setLaunch = useCallback((version: string | null) => change((params) => put(params, "launch", version)), [change]);
  const reference = run.job ?? job.data?.job ?? null;
  const stop = useMutation({
    mutationFn: async () => api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/stop", { params: { path: { entity: run.entity, project: run.project, run: run.id } } }),
    onSuccess: () => {
      say(`Asked ${run.name} to stop. Its client hears of it within half a minute.`);
      return queries.invalidateQueries({ queryKey: ["run"] });
    },
  });
  const live = !isEnded(run.state);
  useCommands(
    useMemo(
      () =>
        may
          ? [
              ...(reference ? [{ name: "Launch again", hint: "Run", run: () => setLaunch(AGAIN) }] : []),
              ...(live ? [{ name: "Stop this run", hint: "Run", run: () => setOpen("stop") }] : []),
              { name: "Make a job", hint: "Run", run: () => setOpen("job") },
            ]
          : [],
      [may, reference, live, setLaunch],
    ),
  );
  if (!may) return null;
  const inputs = Object.fromEntries(Object.entries(run.config).filter(([key]) => !key.startsWith("_"))) as JsonObject;
  return (
    <>
      {stop.isError && <Failure error={stop.error} />}
      {live && (
        <button type="button" className="button danger" disabled={stop.isPending || run.stop_requested} onClick={() => setOpen("stop")}>
          {run.stop_requested ? "Stopping…" : "Stop"}
        </button>
      )}
      <button type="button" className="button" onClick={() => setOpen("job")}>
        Make a job
      </button>
      <button type="button" className="button primary" disabled={!reference} aria-describedby={reference ? undefined : why} onClick={() => setLaunch(AGAIN)}>
        Launch again
      </button>
      {!reference && job.isSuccess && (
        <span id={why} className="quiet small">
          {job.data?.why ?? "It has no job yet: make one first."}
        </span>
      )}
      {launch && reference && <LaunchDrawer job={versionedJob(reference, launch)} inputs={inputs} onVersion={(version) => change((params) => put(params, "launch", version), { replace: true })} onClose={() => setLaunch(null)} />}
      {open === "job" && <MakeJob run={run} onClose={() => setOpen(null)} />}
      {open === "stop" && (
        <Confirm title="Stop this run?" action="Stop 1 running run" onYes={() => stop.mutate()} onClose={() => setOpen(null)}>
          <p>The item that launched it stops too.</p>
        </Confirm>
      )}
    </>
  );
}

function MakeJob({ run, onClose }: { run: Run; onClose: () => void }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [source, setSource] = useState("");
  const make = useMutation({
    mutationFn: async () =>
      got(
        api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/job", {
          params: { path: { entity: run.entity, project: run.project, run: run.id } },
          body: { name: name.trim() || null, source: source || null },
        }),
      ),
    onSuccess: async (made) => {
      await queries.invalidateQueries({ queryKey: ["jobs"] });
      await queries.invalidateQueries({ queryKey: ["run"] });
      const job = (made as unknown as { reference: string }).reference.split("/").at(-1)!.split(":")[0]!;
      await navigate(`/${run.entity}/${run.project}/jobs/${encodeURIComponent(job)}`);
    },
  });
  return (
    <Dialog
      title="Make a job of this run"
      name="Make a job"
      onClose={onClose}
      foot={
        <button type="submit" form="make-job" className="button primary" disabled={make.isPending}>
          Make
        </button>
      }
    >
      {make.isError && <Failure error={problemOf(make.error)} />}
      <form
        id="make-job"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate();
        }}
      >
        <Field label="Name" note="Left empty: made from the image, the code or the git remote, as the client does.">
          {(tie) => <input {...tie} className="input" value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="Source">
          {(tie) => (
            <select {...tie} className="select" value={source} onChange={(event) => setSource(event.target.value)}>
              <option value="">what the run has</option>
              <option>code</option>
              <option>git</option>
              <option>image</option>
            </select>
          )}
        </Field>
      </form>
    </Dialog>
  );
}
