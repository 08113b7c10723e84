/** A chart of one metric for some runs: lines over a faint band, brush to zoom, the drawn points as a table. */
import "uplot/dist/uPlot.min.css";
import { keepPreviousData, useQueries } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import { type Range, type RunName, seriesQuery, type Stream } from "../api/series";
import { useDrawnTheme } from "../app/theme";
import { duration, metric } from "../format/text";
import { Dialog } from "./parts";
import { columns, type Columns, type Line, type XAxis } from "./plot";
import { Failure } from "./view";

export interface ChartRun extends RunName {
  label: string;
  colour: string;
  dash: number[];
}

export interface ChartLook {
  smoothing: number;
  log: boolean;
  axis: XAxis;
}

/** Points asked for: about one per two pixels. */
const POINTS = 400;
/** Runs of which the band is drawn too. */
const BANDS = 6;

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

export function Chart({ name, runs, look, stream = "history" }: { name: string; runs: ChartRun[]; look: ChartLook; stream?: Stream }) {
  const { ref, seen } = useSeen();
  const [range, setRange] = useState<Range | null>(null);
  const [table, setTable] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const byTime = look.axis === "time" && stream === "history";
  const found = useQueries({
    queries: runs.map((run) => ({ ...seriesQuery(run, stream, name, POINTS, byTime ? null : range), enabled: seen, placeholderData: keepPreviousData })),
  });
  const clocks = useQueries({ queries: runs.map((run) => ({ ...seriesQuery(run, stream, "_runtime", POINTS), enabled: seen && byTime })) });
  const failed = found.find((query) => query.isError);
  const stamp = [...found, ...clocks].map((query) => query.dataUpdatedAt).join();
  const lines = useMemo<Line[]>(
    () => runs.map((run, index) => ({ label: run.label, colour: run.colour, dash: run.dash, points: found[index]?.data ?? [], times: byTime ? (clocks[index]?.data ?? []) : undefined })),
    // The stamp says when any of the queries has other data.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [runs, stamp, byTime],
  );
  const data = useMemo(() => columns(lines, byTime ? "time" : "step", look.smoothing), [lines, byTime, look.smoothing]);
  const shownX = (x: number) => (byTime || stream === "system" ? duration(x * 1000) : `step ${x}`);

  return (
    <figure ref={ref as React.RefObject<HTMLElement>} className="chart" aria-label={name}>
      <div className="chart-head">
        <span className="title" title={name}>
          {name}
        </span>
        {range && (
          <button type="button" className="link small" onClick={() => setRange(null)}>
            Whole range
          </button>
        )}
        <button type="button" className="link small" onClick={() => setTable(true)}>
          View data
        </button>
      </div>
      <div className="chart-area">
        {failed ? (
          <Failure error={failed.error} retry={() => void Promise.all(found.map((query) => query.refetch()))} />
        ) : !seen || (data.x.length === 0 && found.some((query) => query.isPending)) ? (
          <div className="skeleton" style={{ height: "100%" }} />
        ) : data.x.length === 0 ? (
          <div className="quiet small" style={{ padding: 8 }}>
            No numbers yet.
          </div>
        ) : (
          <Plot data={data} lines={lines} log={look.log} smoothed={look.smoothing > 0} seconds={byTime || stream === "system"} onZoom={byTime ? null : setRange} onCursor={setAt} />
        )}
      </div>
      <div className="chart-legend cut" aria-hidden="true">
        {at !== null && data.x[at] !== undefined && (
          <>
            {shownX(data.x[at])}:{" "}
            {lines
              .map((line, index) => ({ line, value: data.lines[index]?.value[at] }))
              .filter((entry) => entry.value !== null && entry.value !== undefined)
              .map(({ line, value }) => (
                <span key={line.label} style={{ marginRight: 8 }}>
                  <span className="dot" style={{ background: line.colour, width: 7, height: 7 }} /> {metric(value)}
                </span>
              ))}
          </>
        )}
      </div>
      {table && <DataTable name={name} data={data} lines={lines} onClose={() => setTable(false)} x={byTime ? "Seconds" : stream === "system" ? "Seconds" : "Step"} />}
    </figure>
  );
}

/** The crosshair is shared by all charts of a page. */
const together = uPlot.sync("charts");

function Plot({ data, lines, log, smoothed, seconds, onZoom, onCursor }: {
  data: Columns;
  lines: Line[];
  log: boolean;
  smoothed: boolean;
  seconds: boolean;
  onZoom: ((range: Range) => void) | null;
  onCursor: (index: number | null) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useDrawnTheme();
  const bands = lines.length <= BANDS;
  const shape = JSON.stringify([lines.map((line) => [line.label, line.colour, line.dash]), log, smoothed, seconds, bands, onZoom !== null, theme]);
  const calls = useRef({ onZoom, onCursor });
  const table = useMemo<uPlot.AlignedData>(() => {
    // A log axis has no place for what is not above zero.
    const fit = (column: (number | null)[]) => (log ? column.map((value) => (value !== null && value > 0 ? value : null)) : column);
    return [data.x, ...data.lines.flatMap((line) => [...(bands ? [fit(line.max), fit(line.min)] : []), ...(smoothed ? [fit(line.raw)] : []), fit(line.value)])] as uPlot.AlignedData;
  }, [data, bands, smoothed, log]);

  useEffect(() => {
    calls.current = { onZoom, onCursor };
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const series: uPlot.Series[] = [{}];
    const fills: uPlot.Band[] = [];
    for (const line of lines) {
      if (bands) {
        fills.push({ series: [series.length, series.length + 1], fill: `${line.colour}26` });
        series.push({ stroke: "transparent", points: { show: false }, spanGaps: true }, { stroke: "transparent", points: { show: false }, spanGaps: true });
      }
      if (smoothed) series.push({ stroke: `${line.colour}44`, width: 1, points: { show: false }, spanGaps: true });
      series.push({ label: line.label, stroke: line.colour, width: 1.6, dash: line.dash, spanGaps: true, points: { show: (_self, _index, from, to) => to - from < 2, size: 5 } });
    }
    const axis: uPlot.Axis = { stroke: colour("--n11"), grid: { stroke: colour("--n4"), width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 26 };
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height: element.clientHeight || 200,
        legend: { show: false },
        padding: [8, 8, 0, 0],
        cursor: {
          sync: { key: together.key, setSeries: false },
          points: { show: false },
          drag: { x: calls.current.onZoom !== null, y: false, setScale: false },
        },
        scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
        axes: [
          { ...axis, ...(seconds ? { values: (_self: uPlot, splits: number[]) => splits.map((split) => duration(split * 1000)) } : {}), space: 70 },
          { ...axis, size: 52, values: (_self, splits) => splits.map((split) => (split === null ? "" : metric(split))) },
        ],
        series,
        bands: fills,
        hooks: {
          setSelect: [
            (self) => {
              if (self.select.width < 4) return;
              const from = Math.floor(self.posToVal(self.select.left, "x"));
              const to = Math.ceil(self.posToVal(self.select.left + self.select.width, "x"));
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              calls.current.onZoom?.({ from, to });
            },
          ],
          setCursor: [(self) => calls.current.onCursor(self.cursor.idx ?? null)],
        },
      },
      table,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // The shape names everything that needs a new plot; new data alone does not.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(table);
  }, [table]);

  return <div ref={box} style={{ height: "100%" }} />;
}

/** Rows of the table of a chart; more do not help a reader, and the API has them. */
const ROWS = 500;

function DataTable({ name, data, lines, onClose, x }: { name: string; data: Columns; lines: Line[]; onClose: () => void; x: string }) {
  return (
    <Dialog title={name} name={`Data of ${name}`} onClose={onClose}>
      <div className="table-box">
        <table className="table" aria-label={name}>
          <thead>
            <tr>
              <th className="num">{x}</th>
              {lines.map((line) => (
                <th key={line.label} className="num">
                  {line.label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {data.x.slice(0, ROWS).map((value, index) => (
              <tr key={value}>
                <td className="num">{metric(value)}</td>
                {data.lines.map((column, line) => (
                  <td key={lines[line]?.label ?? line} className="num" title={String(column.raw[index] ?? "")}>
                    {column.raw[index] === null ? "" : metric(column.raw[index])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {data.x.length > ROWS && (
        <p className="quiet small">
          The first {ROWS} of {data.x.length} points are shown.
        </p>
      )}
    </Dialog>
  );
}
