import { expect, test } from "vitest";
import { metricsOf } from "./metrics";

test("metrics become rows, buckets and comments do not", () => {
  expect(metricsOf('# TYPE a counter\na{state="failed",x="1"} 2\nb 0.5\nh_bucket{le="1"} 3\nbad line here\nc NaN\n')).toEqual([
    { name: "a", labels: "state=failed,x=1", value: 2 },
    { name: "b", labels: "", value: 0.5 },
  ]);
});
