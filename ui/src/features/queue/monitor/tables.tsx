/** The tables of the Monitor tab: attempts, jobs and what they use, errors, users. */
import { Link } from "react-router";
import type { AttemptSpan, JobLoad, QueueStats, Usage } from "../../../api/types";
import { Ago, Lasted } from "../../../components/parts";
import { Rows } from "../../../components/rows";
import { State } from "../../../components/state";
import { bytes, duration, metric } from "../../../format/text";
import { CauseCell, causeOfAttempt, jobAddress } from "../../item/item-columns";

const SHOWN = 100;

export function AttemptTable({ spans, open, onOpen }: { spans: AttemptSpan[]; open: string | null; onOpen: (item: string) => void }) {
  return (
    <>
      <Rows<AttemptSpan>
        name="Attempts"
        rows={spans.slice(0, SHOWN)}
        id={(span) => `${span.item}/${span.number}`}
        onOpen={(span) => onOpen(span.item)}
        open={open}
        columns={[
          { name: "State", cell: (span) => <State state={span.unreachable ? "unreachable" : span.state} note={span.number > 1 ? `attempt ${span.number}` : null} /> },
          { name: "Job", cell: (span) => <JobLink job={span.job ?? null} /> },
          { name: "By", wide: true, cell: (span) => span.author },
          { name: "Agent", wide: true, cell: (span) => span.agent_name ?? (span.agent ? <code>{span.agent.slice(-6)}</code> : "–") },
          { name: "GPUs", wide: true, cell: (span) => span.gpus.join(", ") },
          { name: "Began", cell: (span) => <Ago time={span.begin} /> },
          { name: "Lasted", num: true, cell: (span) => <Lasted from={span.begin} to={span.end ?? null} /> },
          { name: "Cause", under: true, grow: true, cell: (span) => (causeOfAttempt(span) ? <CauseCell cause={causeOfAttempt(span)} help={span.help} /> : null) },
        ]}
      />
      {spans.length > SHOWN && (
        <p className="quiet small">
          The newest {SHOWN} of {spans.length.toLocaleString("en-US")} attempts are listed. A range in the timeline narrows them.
        </p>
      )}
    </>
  );
}

function JobLink({ job }: { job: string | null }) {
  const to = job ? jobAddress(job.includes(":") ? job : `${job}:latest`) : null;
  const name = job?.split("/").at(-1) ?? "images";
  return to ? <Link to={to}>{name}</Link> : <span>{name}</span>;
}

const load = (value: { mean: number; max: number } | null | undefined, write: (n: number) => string) =>
  value ? (
    <span title={`at most ${write(value.max)}`}>
      {write(value.mean)} <span className="quiet">… {write(value.max)}</span>
    </span>
  ) : (
    <span className="quiet">–</span>
  );
const percent = (n: number) => `${Math.round(n)} %`;

export function JobTable({ jobs }: { jobs: JobLoad[] }) {
  return (
    <Rows<JobLoad>
      name="Jobs"
      rows={jobs}
      id={(row) => row.job ?? "images"}
      columns={[
        { name: "Job", cell: (row) => <JobLink job={row.job ?? null} /> },
        { name: "Ended", num: true, cell: (row) => row.items },
        { name: "Failed", num: true, cell: (row) => (row.failed > 0 ? <span style={{ color: "var(--red)" }}>{row.failed}</span> : 0) },
        { name: "Half within", num: true, cell: (row) => (row.duration.p50_ms === null || row.duration.p50_ms === undefined ? "–" : duration(row.duration.p50_ms)) },
        { name: "95 % within", num: true, wide: true, cell: (row) => (row.duration.p95_ms === null || row.duration.p95_ms === undefined ? "–" : duration(row.duration.p95_ms)) },
        { name: "CPU", num: true, wide: true, cell: (row) => load(row.cpu_percent, percent) },
        { name: "Memory", num: true, wide: true, cell: (row) => (row.memory_bytes ? load(row.memory_bytes, bytes) : load(row.memory_percent, percent)) },
        { name: "GPU", num: true, wide: true, cell: (row) => load(row.gpu_percent, percent) },
        { name: "GPU memory", num: true, wide: true, cell: (row) => load(row.gpu_memory_percent, percent) },
      ]}
    />
  );
}

type Cause = QueueStats["errors"][number];

export function ErrorTable({ errors, cut, onOpen }: { errors: Cause[]; cut: boolean; onOpen: (item: string) => void }) {
  return (
    <>
      <Rows<Cause>
        name="Errors"
        rows={errors}
        id={(row) => row.cause}
        columns={[
          {
            name: "Cause",
            cell: (row) => (
              <span className="row" style={{ gap: 6 }}>
                {row.help && <a href={`/errors/${row.help}`}>{row.help}</a>} <code>{row.cause}</code>
              </span>
            ),
          },
          { name: "Items", num: true, cell: (row) => row.count },
          { name: "Newest", cell: (row) => <Ago time={row.last_at} /> },
          {
            name: "Message",
            wide: true,
            grow: true,
            cell: (row) => (
              <span className="cut small" title={row.message}>
                {row.message}
              </span>
            ),
          },
          {
            name: "Examples",
            cell: (row) => (
              <span className="row" style={{ gap: 6 }}>
                {row.items.slice(0, 3).map((item) => (
                  <button key={item} type="button" className="link mono" onClick={() => onOpen(item)}>
                    {item.slice(-6)}
                  </button>
                ))}
              </span>
            ),
          },
        ]}
      />
      {cut && <p className="quiet small">The newest failures are counted; there are more.</p>}
    </>
  );
}

export function UserTable({ users }: { users: Usage[] }) {
  const most = Math.max(1e-9, ...users.map((row) => row.wall_hours));
  return (
    <Rows<Usage>
      name="Users"
      rows={users}
      id={(row) => row.key}
      columns={[
        { name: "User", cell: (row) => row.key },
        { name: "Share", wide: true, cell: (row) => <span className="share" style={{ width: `${(row.wall_hours / most) * 100}%` }} /> },
        { name: "Items", num: true, cell: (row) => row.items.toLocaleString("en-US") },
        { name: "Hours", num: true, cell: (row) => metric(row.wall_hours) },
        { name: "CPU hours", num: true, wide: true, cell: (row) => metric(row.cpu_hours) },
        { name: "GPU hours", num: true, wide: true, cell: (row) => metric(row.gpu_hours) },
      ]}
    />
  );
}
