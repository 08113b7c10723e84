/** A chart of one metric for some runs: asks for what is near the screen, draws it, shows the drawn points as a table. */
import { keepPreviousData, useQueries } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { pointsFor, type Range, type RunName, seriesQuery, type Stream } from "../api/series";
import { isEnded } from "../api/queries";
import type { Series } from "../api/types";
import { count, exact, metric } from "../format/text";
import type { ChartLook } from "./look";
import { Dialog } from "./parts";
import { columns, type Columns, type Line, stepAt, toldApart, whyNothing, type XAxis } from "./plot";
import { PlotArea } from "./plot-area";
import { clockWriters, durationWriters, stepWriters, type Writers } from "./ticks";
import { Failure } from "./view";

export interface ChartRun extends RunName {
  label: string;
  colour: string;
  dash: number[];
}

/** The series that holds the seconds of an axis of time. */
const clockKeys: Record<Exclude<XAxis, "step">, string> = { time: "_runtime", clock: "_timestamp" };

/** Draws nothing until it was near the screen once. */
function useSeen() {
  const ref = useRef<HTMLElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (seen || !element) return;
    const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && setSeen(true), { rootMargin: "300px" });
    observer.observe(element);
    return () => observer.disconnect();
  }, [seen]);
  return { ref, seen };
}

/** How places on the axis are written. */
function xTextsOf(axis: XAxis, stream: Stream): Writers {
  if (stream === "system" || axis === "time") return durationWriters;
  return axis === "clock" ? clockWriters : stepWriters;
}

/** The steps of a run that lie in a range of the axis. */
function stepsOf(zoom: Range | null, times: Series | undefined): Range | null {
  if (!zoom) return null;
  if (!times) return { from: Math.floor(zoom.from), to: Math.ceil(zoom.to) };
  const [from, to] = [stepAt(times, zoom.from), stepAt(times, zoom.to)];
  return from === null || to === null ? null : { from: Math.floor(from), to: Math.ceil(to) };
}

export function Chart({ name, runs, look, stream = "history", onZoom }: { name: string; runs: ChartRun[]; look: ChartLook; stream?: Stream; onZoom: (zoom: Range | null) => void }) {
  const { ref, seen } = useSeen();
  const [table, setTable] = useState(false);
  const axis = stream === "system" ? "step" : look.axis;
  const clock = axis === "step" ? null : clockKeys[axis];
  const points = pointsFor(runs.length);
  const clocks = useQueries({ queries: runs.map((run) => ({ ...seriesQuery(run, stream, clock ?? "_step", points), enabled: seen && clock !== null })) });
  const found = useQueries({
    queries: runs.map((run, index) => {
      const times = clock ? clocks[index]?.data : undefined;
      return { ...seriesQuery(run, stream, name, points, stepsOf(look.zoom, times)), enabled: seen && (clock === null || times !== undefined), placeholderData: keepPreviousData };
    }),
  });
  const failed = found.find((query) => query.isError);
  const stamp = [...found, ...clocks].map((query) => query.dataUpdatedAt).join();
  const lines = useMemo<Line[]>(
    () => toldApart(runs).map((label, index) => ({ label, colour: runs[index]!.colour, dash: runs[index]!.dash, points: found[index]?.data ?? [], times: clock ? (clocks[index]?.data ?? []) : undefined })),
    // The stamp says when any of the queries has other data.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [runs, stamp, clock],
  );
  const data = useMemo(() => columns(lines, axis, look.smoothing), [lines, axis, look.smoothing]);
  const odd = data.lines.reduce((sum, line) => sum + line.odd.size, 0);
  const nothing = useMemo(() => whyNothing(data, look.log), [data, look.log]);

  return (
    <figure ref={ref as React.RefObject<HTMLElement>} className="chart" aria-label={name}>
      <div className="chart-head">
        <span className="title" title={name}>
          {name}
        </span>
        {odd > 0 && (
          <span className="quiet small nowrap" title={`Not drawn: ${count(odd, "point")} of ${[...new Set(data.lines.flatMap((line) => [...line.odd.values()]))].join(", ")}`}>
            {count(odd, "point")} not finite
          </span>
        )}
        {look.zoom && (
          <button type="button" className="link small" onClick={() => onZoom(null)}>
            Whole range
          </button>
        )}
        <button type="button" className="link small quiet-link" onClick={() => setTable(true)}>
          View data
        </button>
      </div>
      <div className="chart-area">
        {failed ? (
          <Failure error={failed.error} retry={() => void Promise.all(found.map((query) => query.refetch()))} />
        ) : !seen || (data.x.length === 0 && found.some((query) => query.isPending)) ? (
          <div className="skeleton" style={{ height: "100%" }} />
        ) : data.x.length === 0 ? (
          <div className="chart-none">{look.zoom ? "No numbers in this range." : runs.every((run) => isEnded(run.state)) ? "Only its last value was kept." : "No numbers yet."}</div>
        ) : nothing !== null ? (
          <div className="chart-none">{nothing}</div>
        ) : (
          <PlotArea data={data} lines={lines} log={look.log} smoothed={look.smoothing > 0} xTexts={xTextsOf(axis, stream)} axis={`${stream} ${axis}`} onZoom={onZoom} />
        )}
      </div>
      {table && <DataTable name={name} data={data} lines={lines} onClose={() => setTable(false)} axis={axis} stream={stream} />}
    </figure>
  );
}

/** Rows of the table of a chart; more do not help a reader, and the API has them. */
const ROWS = 500;

function DataTable({ name, data, lines, onClose, axis, stream }: { name: string; data: Columns; lines: Line[]; onClose: () => void; axis: XAxis; stream: Stream }) {
  // Runs that have no point of the metric say nothing here.
  const shown = lines.flatMap((line, index) => (line.points.length > 0 ? [{ line, column: data.lines[index]! }] : []));
  const x = axis === "clock" ? "Time" : stream === "system" || axis === "time" ? "Seconds" : "Step";
  return (
    <Dialog title={name} name={`Data of ${name}`} onClose={onClose}>
      <div className="table-box">
        <table className="table" aria-label={name}>
          <thead>
            <tr>
              <th className="num">{x}</th>
              {shown.map(({ line }) => (
                <th key={line.label} className="num">
                  {line.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {data.x.slice(0, ROWS).map((value, index) => (
              <tr key={value}>
                <td className="num">{axis === "clock" ? exact(new Date(value * 1000).toISOString()) : metric(value)}</td>
                {shown.map(({ line, column }) => (
                  <td key={line.label} className="num" title={String(column.odd.get(index) ?? column.raw[index] ?? "")}>
                    {column.odd.get(index) ?? (column.raw[index] === null ? "" : metric(column.raw[index]))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {data.x.length > ROWS && (
        <p className="quiet small">
          The first {ROWS} of {data.x.length.toLocaleString("en-US")} points are shown.
        </p>
      )}
    </Dialog>
  );
}
