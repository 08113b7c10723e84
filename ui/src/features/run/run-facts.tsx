import type { Run } from "../../api/types";
import { Ago, Lasted } from "../../components/parts";
import { State } from "../../components/state";

/** The first lines about a run, of a list of facts: how it stands, who began it, how long it took. */
export function RunFacts({ run }: { run: Run }) {
  return (
    <>
      <dt>State</dt>
      <dd>
        <State state={run.state} note={run.exit_code ? `exit ${run.exit_code}` : null} />
      </dd>
      <dt>Began</dt>
      <dd>
        <Ago time={run.created_at} /> by {run.author}
        {run.host ? ` on ${run.host}` : ""}
      </dd>
      <dt>Lasted</dt>
      <dd>
        <Lasted from={run.created_at} to={run.ended_at ?? (run.state === "running" ? null : run.heartbeat_at)} />
      </dd>
    </>
  );
}
