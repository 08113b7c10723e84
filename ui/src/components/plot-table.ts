/** What the plot is handed: a column per edge of a band, per raw line and per line, and how each is drawn. Both sides are made
    in the same order here. */
import type uPlot from "uplot";
import { BANDS } from "../api/series";
import type { Columns, Line } from "./plot";

interface How {
  /** Each line has the band between its least and greatest values. */
  bands: boolean;
  /** The values stand faintly behind the smoothed line. */
  smoothed: boolean;
}

export function tableOf(data: Columns, { bands, smoothed, log }: How & { log: boolean }): uPlot.AlignedData {
  // A log axis has no place for what is not above zero.
  const fit = (column: (number | null)[]) => (log ? column.map((value) => (value !== null && value > 0 ? value : null)) : column);
  // Where each bucket holds one value the band is the line itself, and its edges would be drawn over it.
  const wide = (line: Columns["lines"][number]) => line.max.some((value, index) => value !== line.min[index]);
  const none = new Array<null>(data.x.length).fill(null);
  return [data.x, ...data.lines.flatMap((line) => [...(bands ? (wide(line) ? [fit(line.max), fit(line.min)] : [none, none]) : []), ...(smoothed ? [fit(line.raw)] : []), fit(line.value)])] as uPlot.AlignedData;
}

export function seriesOf(lines: Line[], { bands, smoothed }: How): { series: uPlot.Series[]; fills: uPlot.Band[] } {
  const series: uPlot.Series[] = [{}];
  const fills: uPlot.Band[] = [];
  // One step that stands out is a column of the band too thin to be seen: what is seen is its edge. Many edges make a thicket.
  const strength = lines.length > BANDS ? "40" : "80";
  for (const line of lines) {
    if (bands) {
      fills.push({ series: [series.length, series.length + 1], fill: `${line.colour}26` });
      const edge: uPlot.Series = { stroke: `${line.colour}${strength}`, width: 0.8, dash: line.dash, points: { show: false }, spanGaps: true };
      series.push(edge, { ...edge });
    }
    if (smoothed) series.push({ stroke: `${line.colour}44`, width: 1, points: { show: false }, spanGaps: true });
    series.push({ label: line.label, stroke: line.colour, width: 1.6, dash: line.dash, spanGaps: true, points: { show: (_self, _index, from, to) => to - from < 2, size: 5 } });
  }
  return { series, fills };
}
