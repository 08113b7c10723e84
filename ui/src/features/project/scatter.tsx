/** Runs as points: a setting or a result against a result. */
import { useMemo, useState } from "react";
import { useNavigate } from "react-router";
import type { Run } from "../../api/types";
import { Dialog } from "../../components/parts";
import { colourOf } from "../../components/plot";
import { metric, shortJson } from "../../format/text";
import { atPath } from "../launch/inputs";
import type { ScatterKeys } from "./runs-data";
import { axisOf, type ScatterAxis } from "./scatter-axis";

const WIDTH = 640;
const HEIGHT = 260;
/** Rows of the table of its data. */
const ROWS = 500;
const PAD = { left: 56, right: 12, top: 10, bottom: 26 };

/** A run's value under `config.KEY` or `summary.KEY`. */
export function valueAt(run: Run, key: string): unknown {
  return key.startsWith("config.") ? atPath(run.config, key.slice(7)) : atPath(run.summary, key.slice(8));
}

interface Dot {
  run: Run;
  x: number;
  y: number;
}

/** `partial`: there are more runs than were read, as a list begins with those that fit a screen; `more` reads further ones. */
/** A run beyond the first ten has the ring of its colour. */
const marks = (run: Run) => {
  const { colour, dash } = colourOf(run.number);
  return dash.length === 0 ? { fill: colour } : { fill: "var(--panel)", stroke: colour, strokeWidth: 2 };
};

export function Scatter({ runs, keys, choices, onKeys, onClose, partial, more }: { runs: Run[]; keys: ScatterKeys; choices: string[]; onKeys: (next: ScatterKeys) => void; onClose: () => void; partial: boolean; more: (() => void) | null }) {
  const [table, setTable] = useState(false);
  const [at, setAt] = useState<Dot | null>(null);
  const navigate = useNavigate();
  const { x, y, dots } = useMemo(() => {
    const axisX = axisOf(runs.map((run) => valueAt(run, keys.x)), keys.logX, [PAD.left, WIDTH - PAD.right], 7);
    const axisY = axisOf(runs.map((run) => valueAt(run, keys.y)), keys.logY, [HEIGHT - PAD.bottom, PAD.top], 5);
    const placed = runs.flatMap((run): Dot[] => {
      const [px, py] = [axisX.place(valueAt(run, keys.x)), axisY.place(valueAt(run, keys.y))];
      return px === null || py === null ? [] : [{ run, x: px, y: py }];
    });
    return { x: axisX, y: axisY, dots: placed };
  }, [runs, keys]);
  const name = `${keys.y} by ${keys.x}`;
  const choose = (axis: "x" | "y") => (
    <select className="select" style={{ width: 150 }} aria-label={`Scatter ${axis}`} value={keys[axis]} onChange={(event) => onKeys({ ...keys, [axis]: event.target.value })}>
      {[...new Set([keys[axis], ...choices])].map((key) => (
        <option key={key}>{key}</option>
      ))}
    </select>
  );
  const log = (axis: "logX" | "logY", label: string) => (
    <label className="row small" style={{ gap: 4 }}>
      <input type="checkbox" checked={keys[axis]} onChange={(event) => onKeys({ ...keys, [axis]: event.target.checked })} /> {label}
    </label>
  );
  return (
    <figure className="chart" aria-label={name}>
      <div className="row wrap">
        {choose("y")} <span className="quiet">by</span> {choose("x")}
        {log("logY", "Log y")} {log("logX", "Log x")}
        <span className="grow" />
        {partial && (
          <span className="small quiet" role="status">
            the first {runs.length.toLocaleString("en-US")} runs of the list{" "}
            <button type="button" className="link" disabled={!more} onClick={() => more?.()}>
              Draw more
            </button>
          </span>
        )}
        <button type="button" className="link small" onClick={() => setTable(true)}>
          View data
        </button>
        <button type="button" className="link small" onClick={onClose}>
          Close
        </button>
      </div>
      {dots.length === 0 ? (
        <div className="chart-none" style={{ height: 120 }}>
          None of these runs has both values.
        </div>
      ) : (
        <div style={{ position: "relative" }}>
          <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} className="scatter" role="img" aria-label={`${name}, ${dots.length} runs`}>
            <Grid x={x} y={y} />
            {dots.map((dot) => (
              // The table of the data has the same runs as links for the keyboard.
              <circle
                key={dot.run.id}
                cx={dot.x}
                cy={dot.y}
                r={at === dot ? 6 : 4}
                {...marks(dot.run)}
                onPointerEnter={() => setAt(dot)}
                onPointerLeave={() => setAt(null)}
                onClick={() => void navigate(`/${dot.run.entity}/${dot.run.project}/runs/${dot.run.id}`)}
              />
            ))}
          </svg>
          {at && (
            <div className="chart-tip" data-side={at.x > WIDTH / 2 ? "left" : "right"}>
              <strong>{at.run.name}</strong>
              <div>
                <span className="quiet">{keys.x}</span> {metric(valueAt(at.run, keys.x))}
              </div>
              <div>
                <span className="quiet">{keys.y}</span> {metric(valueAt(at.run, keys.y))}
              </div>
            </div>
          )}
        </div>
      )}
      {table && (
        <Dialog title={name} name={`Data of ${name}`} onClose={() => setTable(false)}>
          <div className="table-box">
            <table className="table" aria-label={name}>
              <thead>
                <tr>
                  <th>Run</th>
                  <th className="num">{keys.x}</th>
                  <th className="num">{keys.y}</th>
                </tr>
              </thead>
              <tbody>
                {dots.slice(0, ROWS).map(({ run }) => (
                  <tr key={run.id}>
                    <td>
                      <a href={`/${run.entity}/${run.project}/runs/${run.id}`}>{run.name}</a>
                    </td>
                    <td className="num">{shortJson(valueAt(run, keys.x))}</td>
                    <td className="num">{shortJson(valueAt(run, keys.y))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {dots.length > ROWS && (
            <p className="quiet small">
              The first {ROWS} of {dots.length.toLocaleString("en-US")} runs are listed.
            </p>
          )}
        </Dialog>
      )}
    </figure>
  );
}

function Grid({ x, y }: { x: ScatterAxis; y: ScatterAxis }) {
  return (
    <g className="grid" aria-hidden="true">
      {y.ticks.map((tick) => (
        <g key={tick.text}>
          <line x1={PAD.left} x2={WIDTH - PAD.right} y1={tick.at} y2={tick.at} />
          <text x={PAD.left - 8} y={tick.at + 4} textAnchor="end">
            {tick.text}
          </text>
        </g>
      ))}
      {x.ticks.map((tick) => (
        <g key={tick.text}>
          <line x1={tick.at} x2={tick.at} y1={PAD.top} y2={HEIGHT - PAD.bottom} />
          <text x={tick.at} y={HEIGHT - 8} textAnchor="middle">
            {tick.text}
          </text>
        </g>
      ))}
    </g>
  );
}
