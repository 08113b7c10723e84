/** The canvas of a chart: lines over a faint band, a crosshair that all charts of the page share, a brush. */
import "uplot/dist/uPlot.min.css";
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import { BANDS, type Range } from "../api/series";
import { useDrawnTheme } from "../app/theme";
import { metric } from "../format/text";
import { type Columns, type Line, valueNear } from "./plot";
import { seriesOf, tableOf } from "./plot-table";
import { Swatch } from "./swatch";
import { clockWriters, numberWriters, textAmong, tickTexts, type Writers } from "./ticks";

/** Lines that the tip names; those with the largest values. */
const NAMED = 12;

/** The crosshair is shared by all charts of a page. */
const together = uPlot.sync("charts");

interface Props {
  data: Columns;
  lines: Line[];
  log: boolean;
  smoothed: boolean;
  /** How places on the x axis are written. */
  xTexts: Writers;
  /** Names what `xTexts` do, so that the plot is made anew when that changes. */
  axis: string;
  onZoom: ((range: Range) => void) | null;
}

interface Place {
  index: number;
  left: number;
}

/** Longest that bands of many lines wait for a page that always has something to do, in milliseconds. */
const PATIENCE = 2_000;

/** Whether what may come late is due: at once, or when the page has nothing else to do. */
function useWhenIdle(late: boolean): boolean {
  const [idle, setIdle] = useState(false);
  useEffect(() => {
    if (!late) return;
    // Not every browser says when it is idle.
    if (!("requestIdleCallback" in window)) {
      const timer = setTimeout(() => setIdle(true), PATIENCE);
      return () => clearTimeout(timer);
    }
    const asked = requestIdleCallback(() => setIdle(true), { timeout: PATIENCE });
    return () => cancelIdleCallback(asked);
  }, [late]);
  return !late || idle;
}

export function PlotArea({ data, lines, log, smoothed, xTexts, axis, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useDrawnTheme();
  const [place, setPlace] = useState<Place | null>(null);
  const bands = useWhenIdle(lines.length > BANDS);
  const shape = JSON.stringify([lines.map((line) => [line.label, line.colour, line.dash]), log, smoothed, axis, bands, onZoom !== null, theme]);
  const calls = useRef({ onZoom, xTexts, hovered: false });
  const table = useMemo(() => tableOf(data, { bands, smoothed, log }), [data, bands, smoothed, log]);

  useEffect(() => {
    calls.current = { ...calls.current, onZoom, xTexts };
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(optionsOf(element, { lines, bands, log, smoothed, calls, setPlace }), table, element);
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

  return (
    <div
      style={{ height: "100%", position: "relative" }}
      onPointerEnter={() => {
        calls.current.hovered = true;
      }}
      onPointerLeave={() => {
        calls.current.hovered = false;
        setPlace(null);
      }}
    >
      <div ref={box} style={{ height: "100%" }} />
      {place && <Tip place={place} data={data} lines={lines} xTexts={xTexts} />}
    </div>
  );
}

interface Making {
  lines: Line[];
  bands: boolean;
  log: boolean;
  smoothed: boolean;
  calls: React.RefObject<{ onZoom: Props["onZoom"]; xTexts: Props["xTexts"]; hovered: boolean }>;
  setPlace: (place: Place | null) => void;
}

function optionsOf(element: HTMLElement, { lines, bands, log, smoothed, calls, setPlace }: Making): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const { series, fills } = seriesOf(lines, { bands, smoothed });
  const axis: uPlot.Axis = { stroke: colour("--n11"), grid: { stroke: colour("--n4"), width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 26 };
  return {
    width: element.clientWidth || 300,
    height: element.clientHeight || 200,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: {
      // By value, not by pixel: the same step stands under all crosshairs, however wide the charts.
      sync: { key: together.key, setSeries: false, scales: ["x", null] },
      points: { show: false },
      drag: { x: calls.current.onZoom !== null, y: false, setScale: false },
    },
    scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
    axes: [
      { ...axis, values: (_self, splits) => tickTexts(splits, calls.current.xTexts), space: calls.current.xTexts === clockWriters ? 92 : 70 },
      { ...axis, size: (_self, texts) => Math.max(52, 16 + 6.4 * Math.max(0, ...(texts ?? []).map((text) => text.length))), values: (_self, splits) => tickTexts(splits, numberWriters) },
    ],
    series,
    bands: fills,
    hooks: {
      setSelect: [
        (self) => {
          if (self.select.width < 4) return;
          const from = self.posToVal(self.select.left, "x");
          const to = self.posToVal(self.select.left + self.select.width, "x");
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          calls.current.onZoom?.({ from, to });
        },
      ],
      setCursor: [
        (self) => {
          const index = self.cursor.idx;
          setPlace(calls.current.hovered && index !== null && index !== undefined ? { index, left: self.cursor.left ?? 0 } : null);
        },
      ],
    },
  };
}

/** The values under the crosshair, the largest first, beside it where there is room. */
function Tip({ place, data, lines, xTexts }: { place: Place; data: Columns; lines: Line[]; xTexts: Writers }) {
  const x = data.x[place.index];
  if (x === undefined) return null;
  const found = lines
    .map((line, index) => ({ line, value: valueNear(data.lines[index]?.value ?? [], place.index) }))
    .filter((entry): entry is { line: Line; value: number } => entry.value !== null)
    .sort((a, b) => b.value - a.value);
  return (
    <div className="chart-tip" aria-hidden="true" data-side={place.left > 150 ? "left" : "right"}>
      <div className="quiet">{textAmong(x, data.x.slice(Math.max(0, place.index - 1), place.index + 2), xTexts)}</div>
      {found.slice(0, NAMED).map(({ line, value }) => (
        <div key={line.label} className="row" style={{ gap: 6 }}>
          <Swatch colour={line.colour} dash={line.dash} />
          <span className="num">{metric(value)}</span>
          {lines.length > 1 && <span className="cut quiet">{line.label}</span>}
        </div>
      ))}
      {found.length > NAMED && <div className="quiet">and {found.length - NAMED} more</div>}
    </div>
  );
}
