import { queryOptions, useQuery } from "@tanstack/react-query";
import { readText } from "../../api/client";
import { readyQuery } from "../../api/queries";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { View } from "../../components/view";
import { metric } from "../../format/text";
import { type Answers, answersOf, type Metric, metricsOf } from "./metrics";

const metricsQuery = queryOptions({
  queryKey: ["metrics"],
  queryFn: async ({ signal }) => {
    const begin = performance.now();
    const text = await readText("/metrics", signal);
    return { metrics: metricsOf(text), ms: performance.now() - begin };
  },
  refetchInterval: 10_000,
});

const seconds = (value: number | null) => (value === null ? "–" : `${metric(value * 1000)} ms`);

/** Whether the server is well, and what it counts. */
export function Health() {
  const ready = useQuery(readyQuery);
  const metrics = useQuery(metricsQuery);
  return (
    <>
      <dl className="facts" style={{ maxWidth: 640 }}>
        <dt>State</dt>
        <dd>{ready.data ? ready.data.status === "ready" ? <State of="queue" state="ready" /> : <State state="failed" note={ready.data.status} /> : ready.isError ? <State state="failed" note="does not answer" /> : "…"}</dd>
        <dt>Version</dt>
        <dd>{ready.data?.version ?? "–"}</dd>
        <dt>Answers in</dt>
        <dd>{metrics.data ? `${metric(metrics.data.ms)} ms` : "–"}</dd>
      </dl>
      <View query={metrics} height={240}>
        {(data) => (
          <>
            <h2>Requests</h2>
            <Rows<Answers>
              name="Requests"
              rows={answersOf(data.metrics)}
              id={(row) => row.status}
              columns={[
                { name: "Status", cell: (row) => row.status },
                { name: "Answered", num: true, cell: (row) => row.count.toLocaleString("en-US") },
                { name: "Half within", num: true, cell: (row) => seconds(row.median) },
                { name: "95 % within", num: true, cell: (row) => seconds(row.slow) },
              ]}
            />
            <details>
              <summary>All that it counts</summary>
              <div style={{ paddingTop: 8 }}>
                <Rows<Metric>
                  name="Metrics"
                  rows={data.metrics}
                  id={(row) => `${row.name}${row.labels}`}
                  columns={[
                    { name: "Metric", cell: (row) => <code>{row.name}</code> },
                    { name: "Of", cell: (row) => <code className="quiet">{row.labels}</code> },
                    { name: "Value", num: true, cell: (row) => metric(row.value) },
                  ]}
                />
              </div>
            </details>
          </>
        )}
      </View>
    </>
  );
}
