import { queryOptions, useQuery } from "@tanstack/react-query";
import { readText } from "../../api/client";
import { readyQuery } from "../../api/queries";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { View } from "../../components/view";
import { metric } from "../../format/text";
import { type Metric, metricsOf } from "./metrics";

const metricsQuery = queryOptions({
  queryKey: ["metrics"],
  queryFn: async ({ signal }) => {
    const begin = performance.now();
    const text = await readText("/metrics", signal);
    return { metrics: metricsOf(text), ms: performance.now() - begin };
  },
  refetchInterval: 10_000,
});

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
          <Rows<Metric>
            name="Metrics"
            rows={data.metrics.slice(0, 200)}
            id={(row) => `${row.name}${row.labels}`}
            columns={[
              { name: "Metric", cell: (row) => <code>{row.name}</code> },
              { name: "Of", cell: (row) => <code className="quiet">{row.labels}</code> },
              { name: "Value", num: true, cell: (row) => metric(row.value) },
            ]}
          />
        )}
      </View>
    </>
  );
}
