import { expect, test } from "vitest";
import { answersOf, metricsOf } from "./metrics";

test("metrics become rows, buckets and comments do not", () => {
  expect(metricsOf('# TYPE a counter\na{state="failed",x="1"} 2\nb 0.5\nh_bucket{le="1"} 3\nbad line here\nc NaN\n')).toEqual([
    { name: "a", labels: "state=failed,x=1", value: 2 },
    { name: "b", labels: "", value: 0.5 },
  ]);
});

test("requests by status", () => {
  const text = `lanza_http_request_seconds{status="404",quantile="0.5"} 0.002
lanza_http_request_seconds_count{status="404"} 3
lanza_http_request_seconds{status="200",quantile="0.5"} 0.01
lanza_http_request_seconds{status="200",quantile="0.95"} 0.04
lanza_http_request_seconds_sum{status="200"} 9
lanza_http_request_seconds_count{status="200"} 570
lanza_items_pushed_total 4`;
  expect(answersOf(metricsOf(text))).toEqual([
    { status: "200", count: 570, median: 0.01, slow: 0.04 },
    { status: "404", count: 3, median: 0.002, slow: null },
  ]);
});
