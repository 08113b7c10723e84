import { useDeferredValue, useMemo, useState } from "react";
import type { Stream } from "../api/series";
import { useSettled } from "../app/address";
import { Chart, type ChartRun } from "./chart";
import { type ChartLook, useLook } from "./look";
import { grouped, keysThatFit } from "./plot";
import { Empty } from "./view";

/** Charts of a group that are laid out before somebody asks for more. */
const FIRST = 60;

/** Charts of many metrics, grouped by prefix, searched by name; each draws itself when it comes near. */
export function ChartWall({ keys, runs, stream = "history", tool, first }: { keys: string[]; runs: ChartRun[]; stream?: Stream; tool?: React.ReactNode; first?: React.ReactNode }) {
  const [look, change] = useLook();
  const [all, setAll] = useState<string[]>([]);
  const [text, setText] = useSettled(look.search, (search) => change({ search }));
  const [smoothing, setSmoothing] = useSettled(look.smoothing, (value) => change({ smoothing: value }));
  const searched = useDeferredValue(text);
  const groups = useMemo(() => grouped(keysThatFit(keys, searched)), [keys, searched]);
  const drawn = useMemo<ChartLook>(() => ({ ...look, smoothing }), [look, smoothing]);
  if (keys.length === 0) return <Empty>{stream === "system" ? "No system metrics were sent." : "No numbers were logged yet."}</Empty>;
  return (
    <div className="stack" style={{ gap: 12 }}>
      <div className="row wrap chart-tools">
        <input className="input" style={{ width: 190 }} type="search" aria-label="Search charts" placeholder={`Search ${keys.length.toLocaleString("en-US")} charts`} value={text} onChange={(event) => setText(event.target.value)} />
        {stream === "history" && (
          <>
            <label className="row small" style={{ gap: 6 }}>
              Smoothing
              <input type="range" min={0} max={0.99} step={0.01} value={smoothing} onChange={(event) => setSmoothing(Number(event.target.value))} style={{ width: 80 }} />
              <span className="num quiet" style={{ width: 28 }}>
                {smoothing > 0 ? smoothing.toFixed(2) : "off"}
              </span>
            </label>
            <select className="select" style={{ width: 120 }} aria-label="Axis" value={look.axis} onChange={(event) => change({ axis: event.target.value as ChartLook["axis"] })}>
              <option value="step">Step</option>
              <option value="time">Time since start</option>
              <option value="clock">Clock</option>
            </select>
          </>
        )}
        <label className="row small" style={{ gap: 4 }}>
          <input type="checkbox" checked={look.log} onChange={(event) => change({ log: event.target.checked })} /> Log axis
        </label>
        {look.zoom && (
          <button type="button" className="button" onClick={() => change({ zoom: null })}>
            Whole range
          </button>
        )}
        {tool}
      </div>
      {first}
      {groups.length === 0 && <p className="quiet">No chart is called that.</p>}
      {groups.map(([group, members]) => {
        const shown = all.includes(group) ? members : members.slice(0, FIRST);
        return (
          <details key={group} open>
            <summary style={{ marginBottom: 8 }}>
              <strong style={{ fontWeight: 650 }}>{group || "Charts"}</strong> <span className="quiet">{members.length}</span>
            </summary>
            <div className="charts">
              {shown.map((key) => (
                <Chart key={key} name={key} runs={runs} look={drawn} stream={stream} onZoom={(zoom) => change({ zoom })} />
              ))}
            </div>
            {members.length > shown.length && (
              <button type="button" className="button" style={{ marginTop: 12 }} onClick={() => setAll([...all, group])}>
                Show all {members.length.toLocaleString("en-US")}
              </button>
            )}
          </details>
        );
      })}
    </div>
  );
}
