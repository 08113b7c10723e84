/** Stacked bars over slices of time or bounds: an SVG of our own, with a tip and the numbers as a table. */
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Dialog } from "./parts";
import { roundTicks } from "./ticks";

export interface BarSeries {
  name: string;
  /** A colour of the tokens, as CSS writes it. */
  colour: string;
  values: number[];
}

const PAD = { left: 44, right: 8, top: 8, bottom: 22 };

/** The width of an element, as it changes. */
export function useWidth() {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(Math.max(200, element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}

interface Props {
  name: string;
  labels: string[];
  series: BarSeries[];
  /** How a value is written. */
  format?: (value: number) => string;
  height?: number;
  /** What stands beside the title. */
  note?: ReactNode;
}

export function Bars({ name, labels, series, format = (value) => value.toLocaleString("en-US"), height = 170, note }: Props) {
  const { ref, width } = useWidth();
  const [at, setAt] = useState<number | null>(null);
  const [table, setTable] = useState(false);
  const totals = labels.map((_, index) => series.reduce((sum, one) => sum + (one.values[index] ?? 0), 0));
  const top = Math.max(0, ...totals);
  const most = top > 0 ? top : 1;
  // Counts have no halves.
  const whole = totals.every(Number.isInteger);
  const inner = { width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom };
  const step = inner.width / Math.max(1, labels.length);
  const y = (value: number) => PAD.top + inner.height * (1 - value / most);
  const every = Math.max(1, Math.ceil(labels.length / Math.max(1, Math.floor(inner.width / 84))));
  return (
    <figure className="chart" aria-label={name}>
      <div className="chart-head">
        <span className="title">{name}</span>
        {note}
        <span className="legend small">
          {series.length > 1 &&
            series.map((one) => (
              <span key={one.name}>
                <span className="dot" style={{ background: one.colour, width: 8, height: 8, borderRadius: 2 }} /> {one.name}
              </span>
            ))}
        </span>
        <button type="button" className="link small quiet-link" onClick={() => setTable(true)}>
          View data
        </button>
      </div>
      <div ref={ref} style={{ position: "relative", height }}>
        {/* The table has the same numbers for those who do not point. */}
        <svg
          width={width}
          height={height}
          className="bars"
          role="img"
          aria-label={`${name}: ${series.map((one) => `${format(one.values.reduce((a, b) => a + b, 0))} ${one.name}`).join(", ")}`}
          onPointerMove={(event) => {
            const index = Math.floor((event.nativeEvent.offsetX - PAD.left) / step);
            setAt(index >= 0 && index < labels.length ? index : null);
          }}
          onPointerLeave={() => setAt(null)}
        >
          <g className="grid" aria-hidden="true">
            {roundTicks(0, most, 4).filter((tick) => !whole || Number.isInteger(tick)).map((tick) => (
              <g key={tick}>
                <line x1={PAD.left} x2={width - PAD.right} y1={y(tick)} y2={y(tick)} />
                <text x={PAD.left - 6} y={y(tick) + 4} textAnchor="end">
                  {format(tick)}
                </text>
              </g>
            ))}
            {labels.map((label, index) =>
              index % every === 0 ? (
                <text key={index} x={PAD.left + (index + 0.5) * step} y={height - 6} textAnchor="middle">
                  {label}
                </text>
              ) : null,
            )}
          </g>
          {at !== null && <rect x={PAD.left + at * step} y={PAD.top} width={step} height={inner.height} className="band" />}
          {labels.map((_, index) => {
            let base = 0;
            return series.map((one) => {
              const value = one.values[index] ?? 0;
              if (value <= 0) return null;
              base += value;
              const upper = y(base);
              return <rect key={`${one.name} ${index}`} x={PAD.left + index * step + Math.min(1, step * 0.1)} y={upper} width={Math.max(1, step - Math.min(2, step * 0.2))} height={Math.max(1, y(base - value) - upper)} fill={one.colour} />;
            });
          })}
        </svg>
        {at !== null && (
          <div className="chart-tip" data-side={at > labels.length / 2 ? "left" : "right"} aria-hidden="true">
            <div className="quiet">{labels[at]}</div>
            {series
              .filter((one) => (one.values[at] ?? 0) > 0)
              .map((one) => (
                <div key={one.name} className="row" style={{ gap: 6 }}>
                  <span className="dot" style={{ background: one.colour, width: 7, height: 7 }} />
                  <span className="num">{format(one.values[at] ?? 0)}</span> <span className="quiet cut">{one.name}</span>
                </div>
              ))}
          </div>
        )}
      </div>
      {table && (
        <Dialog title={name} name={`Data of ${name}`} onClose={() => setTable(false)}>
          <div className="table-box">
            <table className="table" aria-label={name}>
              <thead>
                <tr>
                  <th> </th>
                  {series.map((one) => (
                    <th key={one.name} className="num">
                      {one.name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {labels.map((label, index) => (
                  <tr key={index}>
                    <td>{label}</td>
                    {series.map((one) => (
                      <td key={one.name} className="num">
                        {format(one.values[index] ?? 0)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Dialog>
      )}
    </figure>
  );
}
