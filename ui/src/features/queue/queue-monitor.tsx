import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Queue, QueueStats } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { Bars } from "../../components/bars";
import { useTick } from "../../components/parts";
import { timeLabel } from "../../components/ticks";
import { Empty, View } from "../../components/view";
import { count, duration, exact } from "../../format/text";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";
import { attemptsQuery, jobLoadQuery, MOST_SPANS, statsQuery } from "./monitor/queries";
import { AttemptTable, ErrorTable, JobTable, UserTable } from "./monitor/tables";
import { boundLabels, type LaneBy, lanesOf, within } from "./monitor/timeline";
import { Timeline } from "./monitor/timeline-view";

const ranges: [string, string][] = [
  ["1h", "1 hour"],
  ["6h", "6 hours"],
  ["1d", "1 day"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["90d", "90 days"],
];
const SLICES = 60;

/** The range that was brushed, in milliseconds. */
function brushOf(params: URLSearchParams): { from: number; to: number } | null {
  const found = /^(\d+)-(\d+)$/.exec(params.get("brush") ?? "");
  return found && Number(found[1]) < Number(found[2]) ? { from: Number(found[1]), to: Number(found[2]) } : null;
}

/** How the queue did: states over time, waiting times, attempts on their agents, what jobs used, errors, users. */
export function QueueMonitor({ queue }: { queue: Queue }) {
  const [search, change] = useAddress();
  const since = search.get("since") ?? "7d";
  const by: LaneBy = search.get("by") === "gpu" ? "gpu" : "agent";
  const open = search.get("item");
  const brush = brushOf(search);
  const window = useMemo(() => ({ since }), [since]);
  const stats = useQuery({ ...statsQuery(queue.entity, queue.name, window, SLICES), placeholderData: keepPreviousData });
  const show = (id: string | null) => change((params) => putItem(params, id));
  const set = (values: Record<string, string | null>) =>
    change((params) => Object.entries(values).forEach(([key, value]) => put(params, key, value)), { replace: !("item" in values) });
  return (
    <>
      <div className="row wrap">
        <span className="switch" role="group" aria-label="Range">
          {ranges.map(([value, word]) => (
            <button key={value} type="button" aria-pressed={since === value} onClick={() => set({ since: value, brush: null })}>
              {word}
            </button>
          ))}
        </span>
        {stats.data && (
          <span className="quiet small" title={`${exact(stats.data.since)} to ${exact(stats.data.until)}`}>
            {count(stats.data.pushed, "item")} pushed, {count(Object.values(stats.data.ended).reduce((a, b) => a + b, 0), "item")} ended
          </span>
        )}
      </div>
      <View query={stats} height={420} empty={(data) => (data.pushed === 0 && Object.keys(data.ended).length === 0 ? <Empty>Nothing was launched in this time.</Empty> : null)}>
        {(data) => (
          <>
            <Courses stats={data} />
            <Attempts queue={queue} since={since} stats={data} by={by} brush={brush} set={set} open={open} onOpen={show} />
            <Details queue={queue} since={since} stats={data} onOpen={show} />
          </>
        )}
      </View>
      {open && <ItemDrawer id={open} onShow={show} />}
    </>
  );
}

/** States over time, endings, and how long items waited. */
function Courses({ stats }: { stats: QueueStats }) {
  const { over_time: course } = stats;
  const begin = Date.parse(stats.since);
  const range = Date.parse(stats.until) - begin;
  const labels = course.waiting.map((_, index) => timeLabel(begin + (index + 0.5) * course.width_ms, range));
  const spread = stats.waiting;
  return (
    <div className="two">
      <Bars
        name="Most items at a time"
        labels={labels}
        series={[
          { name: "running", colour: "var(--blue)", values: course.most_running },
          { name: "waiting", colour: "var(--n8)", values: course.most_waiting },
        ]}
      />
      <Bars
        name="How they ended"
        labels={labels}
        series={[
          { name: "finished", colour: "var(--green)", values: course.finished },
          { name: "failed", colour: "var(--red)", values: course.failed },
          { name: "stopped", colour: "var(--n8)", values: course.stopped },
        ]}
      />
      <Bars
        name="How long they waited"
        labels={boundLabels(stats.waiting_histogram, duration)}
        series={[{ name: "items", colour: "var(--accent)", values: stats.waiting_histogram.map((bin) => bin.count) }]}
        note={<Spread spread={spread} />}
      />
      <Bars name="Pushed" labels={labels} series={[{ name: "items", colour: "var(--violet)", values: course.pushed }]} note={<Spread spread={stats.duration} what="ran" />} />
    </div>
  );
}

function Spread({ spread, what = "waited" }: { spread: QueueStats["waiting"]; what?: string }) {
  if (spread.p50_ms === null || spread.p50_ms === undefined) return null;
  return (
    <span className="quiet small">
      half {what} ≤ {duration(spread.p50_ms)}, 95 % ≤ {duration(spread.p95_ms ?? 0)}, at most {duration(spread.max_ms ?? 0)}
    </span>
  );
}

interface AttemptsProps {
  queue: Queue;
  since: string;
  stats: QueueStats;
  by: LaneBy;
  brush: { from: number; to: number } | null;
  set: (change: Record<string, string | null>) => void;
  open: string | null;
  onOpen: (id: string) => void;
}

/** The timeline, and the attempts of the range that was brushed in it. */
function Attempts({ queue, since, stats, by, brush, set, open, onOpen }: AttemptsProps) {
  const attempts = useQuery(attemptsQuery(queue.entity, queue.name, { since }));
  useTick(10_000);
  // Attempts that last grow; the tick above draws them again.
  // eslint-disable-next-line react-hooks/purity
  const now = Date.now();
  const [from, to] = [Date.parse(stats.since), Math.max(Date.parse(stats.until), now)];
  return (
    <section className="stack" aria-label="Attempts">
      <div className="section-head">
        <h2>Attempts</h2>
        <span className="switch" role="group" aria-label="Lanes">
          <button type="button" aria-pressed={by === "agent"} onClick={() => set({ by: null })}>
            per agent
          </button>
          <button type="button" aria-pressed={by === "gpu"} onClick={() => set({ by: "gpu" })}>
            per GPU
          </button>
        </span>
        <span className="quiet small grow">{brush ? `${timeLabel(brush.from, 1)} – ${timeLabel(brush.to, 1)}, ${duration(brush.to - brush.from)}` : "Drag to choose a range; the table follows."}</span>
        {brush && (
          <button type="button" className="button" onClick={() => set({ brush: null })}>
            Whole range
          </button>
        )}
      </div>
      <View query={attempts} height={160} empty={({ spans }) => (spans.length === 0 ? <Empty>No agent took an item in this time.</Empty> : null)}>
        {({ spans, more }) => (
          <>
            {more && <p className="quiet small">The newest {MOST_SPANS.toLocaleString("en-US")} attempts are drawn; a shorter time shows them all.</p>}
            <Timeline lanes={lanesOf(spans, by, now)} from={from} to={to} brush={brush} onBrush={(range) => set({ brush: range ? `${range.from}-${range.to}` : null })} onOpen={onOpen} />
            <AttemptTable spans={within(spans, brush, now)} open={open} onOpen={onOpen} />
          </>
        )}
      </View>
    </section>
  );
}

function Details({ queue, since, stats, onOpen }: { queue: Queue; since: string; stats: QueueStats; onOpen: (item: string) => void }) {
  const jobs = useQuery(jobLoadQuery(queue.entity, queue.name, { since }));
  return (
    <>
      <section className="stack">
        <h2>Jobs and what they use</h2>
        <View query={jobs} height={80} empty={(list) => (list.length === 0 ? <Empty>No item ended in this time.</Empty> : null)}>
          {(list) => <JobTable jobs={list} />}
        </View>
      </section>
      <div className="two">
        <section className="stack">
          <h2>Errors</h2>
          {stats.errors.length === 0 ? <Empty>Nothing failed in this time.</Empty> : <ErrorTable errors={stats.errors} cut={stats.errors_cut} onOpen={onOpen} />}
        </section>
        <section className="stack">
          <h2>Users</h2>
          {stats.users.length === 0 ? <Empty>Nobody used it in this time.</Empty> : <UserTable users={stats.users} />}
        </section>
      </div>
    </>
  );
}
