import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { queueStatsQuery } from "../../api/queries";
import type { Queue } from "../../api/types";
import { State } from "../../components/state";
import { Empty, View } from "../../components/view";
import { duration } from "../../format/text";

const ranges: [string, string][] = [
  ["1d", "1 day"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["90d", "90 days"],
];

interface Spread {
  count: number;
  p50_ms?: number | null;
  p95_ms?: number | null;
  max_ms?: number | null;
}

/** How the queue did: endings, waiting times, durations. */
export function QueueMonitor({ queue }: { queue: Queue }) {
  const [search, setSearch] = useSearchParams();
  const since = search.get("since") ?? "7d";
  const stats = useQuery(queueStatsQuery(queue.entity, queue.name, since));
  return (
    <>
      <div className="row">
        <select className="select" style={{ width: 130 }} aria-label="Range" value={since} onChange={(event) => setSearch({ since: event.target.value })}>
          {ranges.map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
      </div>
      <View query={stats} height={200} empty={(data) => (data.pushed === 0 && Object.keys(data.ended).length === 0 ? <Empty>Nothing was launched in this time.</Empty> : null)}>
        {(data) => (
          <div className="columns">
            <section className="stack">
              <h2>How long</h2>
              <div className="table-box">
                <table className="table" aria-label="How long">
                  <thead>
                    <tr>
                      <th>What</th>
                      <th className="num">Items</th>
                      <th className="num">Half within</th>
                      <th className="num">95 % within</th>
                      <th className="num">Longest</th>
                    </tr>
                  </thead>
                  <tbody>
                    <SpreadRow name="Waited" spread={data.waiting} />
                    <SpreadRow name="Ran" spread={data.duration} />
                  </tbody>
                </table>
              </div>
            </section>
            <section className="stack">
              <h2>How it ended</h2>
              <Endings ended={data.ended as Record<string, number>} pushed={data.pushed} />
            </section>
          </div>
        )}
      </View>
    </>
  );
}

function SpreadRow({ name, spread }: { name: string; spread: Spread }) {
  const cell = (ms: number | null | undefined) => <td className="num">{ms === null || ms === undefined ? "–" : duration(ms)}</td>;
  return (
    <tr>
      <td>{name}</td>
      <td className="num">{spread.count}</td>
      {cell(spread.p50_ms)}
      {cell(spread.p95_ms)}
      {cell(spread.max_ms)}
    </tr>
  );
}

function Endings({ ended, pushed }: { ended: Record<string, number>; pushed: number }) {
  const total = Math.max(1, ...Object.values(ended));
  return (
    <dl className="facts">
      <dt>Pushed</dt>
      <dd>{pushed}</dd>
      {Object.entries(ended).map(([state, n]) => (
        <div key={state} style={{ display: "contents" }}>
          <dt>
            <State state={state} />
          </dt>
          <dd className="row">
            <span style={{ height: 8, borderRadius: 3, background: "var(--n8)", width: `${(n / total) * 70}%`, minWidth: 2 }} /> <span className="num">{n}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
}
