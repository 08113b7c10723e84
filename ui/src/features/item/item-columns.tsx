/** How items look in a table, everywhere the same. */
import { Link } from "react-router";
import type { AttemptSpan, Item } from "../../api/types";
import { Ago, Lasted } from "../../components/parts";
import type { Column } from "../../components/rows";
import { itemState, State } from "../../components/state";

/** The job's last two words (`train:v7`), or the image. */
export function jobName(item: Pick<Item, "job" | "source">): string {
  return item.job?.split("/").at(-1) ?? item.source?.image ?? "image";
}

/** `e/p/name:vN` as the address of the job's page. */
export function jobAddress(job: string): string | null {
  const found = /^([^/]+)\/([^/]+)\/([^/:]+):(v\d+)?/.exec(job);
  return found ? `/${found[1]}/${found[2]}/jobs/${encodeURIComponent(found[3]!)}${found[4] ? `?version=${found[4]}` : ""}` : null;
}

/** What a silent agent means for what it has. */
const SILENT = "its agent is silent; the item goes on when it comes back";

/** Why it waits, hangs, or failed: one line. The queue stands elsewhere in its row or on its page, so its name is left out. */
export function causeOf(item: Item): string {
  const reason = item.reason as { message?: string } | null | undefined;
  if (reason?.message) return reason.message;
  if (item.unreachable) return SILENT;
  const why = item.why?.message ?? "";
  return why.replaceAll(` of the queue \`${item.queue}\``, "").replaceAll(` in the queue \`${item.queue}\``, "").replaceAll(`the queue \`${item.queue}\``, "the queue");
}

/** A cause in a cell: its help page, and what happened. */
export function CauseCell({ cause, help }: { cause: string; help?: string | null | undefined }) {
  if (!cause) return null;
  return (
    <span className="row" style={{ gap: 6 }}>
      {help && <a href={`/errors/${help}`}>{help}</a>}
      <span className="cut small" title={cause}>
        {cause}
      </span>
    </span>
  );
}

/** The cause of an attempt, as its item says it. */
export const causeOfAttempt = (span: Pick<AttemptSpan, "cause" | "message" | "unreachable">): string => span.message || span.cause || (span.unreachable ? SILENT : "");

export const itemColumns: Record<"state" | "run" | "job" | "by" | "queue" | "waited" | "ran" | "agent" | "cause" | "when", Column<Item>> = {
  state: { name: "State", cell: (item) => <State state={itemState(item)} note={item.state === "running" || item.state === "leased" ? item.phase : item.attempt > 1 ? `attempt ${item.attempt}` : null} /> },
  run: {
    name: "Run",
    cell: (item) =>
      item.run ? (
        <Link to={`/${item.entity}/${item.project}/runs/${item.run}`} className="cut">
          {item.name || item.run}
        </Link>
      ) : (
        <span className="quiet">{item.name || "–"}</span>
      ),
  },
  job: {
    name: "Job",
    cell: (item) => {
      const to = item.job ? jobAddress(item.job) : null;
      return to ? <Link to={to} className="nowrap">{jobName(item)}</Link> : <span className="cut">{jobName(item)}</span>;
    },
  },
  by: { name: "By", wide: true, cell: (item) => <span className="nowrap">{item.author}</span> },
  queue: { name: "Queue", wide: true, cell: (item) => <Link to={`/launch/${item.entity}/${item.queue}/items`}>{item.queue}</Link> },
  when: { name: "Pushed", wide: true, cell: (item) => <Ago time={item.created_at} /> },
  waited: { name: "Waited", num: true, wide: true, cell: (item) => <Lasted from={item.created_at} to={item.leased_at ?? item.ended_at} /> },
  ran: { name: "Ran", num: true, cell: (item) => (item.started_at ? <Lasted from={item.started_at} to={item.ended_at} /> : <span className="quiet">–</span>) },
  agent: { name: "Agent", wide: true, cell: (item) => (item.agent ? <code title={item.agent}>{item.agent.slice(-6)}</code> : <span className="quiet">–</span>) },
  cause: {
    name: "Cause",
    under: true,
    grow: true,
    cell: (item) => (causeOf(item) ? <CauseCell cause={causeOf(item)} help={(item.reason as { help?: string } | null | undefined)?.help} /> : null),
  },
};
