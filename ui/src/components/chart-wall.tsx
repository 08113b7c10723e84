import { useMemo, useState } from "react";
import { Chart, type ChartLook, type ChartRun } from "./chart";
import type { Stream } from "../api/series";
import { grouped } from "./plot";
import { Empty } from "./view";

/** Charts of a group that are laid out before somebody asks for more. */
const FIRST = 60;

/** Charts of many metrics, grouped by prefix, searched by name; each draws itself when it comes near. */
export function ChartWall({ keys, runs, stream = "history" }: { keys: string[]; runs: ChartRun[]; stream?: Stream }) {
  const [look, setLook] = useState<ChartLook>({ smoothing: 0, log: false, axis: "step" });
  const [text, setText] = useState("");
  const [all, setAll] = useState<string[]>([]);
  const wanted = useMemo(() => {
    try {
      const pattern = new RegExp(text, "i");
      return keys.filter((key) => pattern.test(key));
    } catch {
      return keys.filter((key) => key.includes(text));
    }
  }, [keys, text]);
  const groups = useMemo(() => grouped(wanted), [wanted]);
  if (keys.length === 0) return <Empty>{stream === "system" ? "No system metrics were sent." : "No numbers were logged yet."}</Empty>;
  return (
    <div className="stack" style={{ gap: 16 }}>
      <div className="row wrap">
        <input className="input" style={{ width: 200 }} type="search" aria-label="Search charts" placeholder={`Search ${keys.length} charts`} value={text} onChange={(event) => setText(event.target.value)} />
        {stream === "history" && (
          <>
            <label className="row small" style={{ gap: 6 }}>
              Smoothing
              <input type="range" min={0} max={0.99} step={0.01} value={look.smoothing} onChange={(event) => setLook({ ...look, smoothing: Number(event.target.value) })} style={{ width: 90 }} />
            </label>
            <select className="select" style={{ width: 90 }} aria-label="Axis" value={look.axis} onChange={(event) => setLook({ ...look, axis: event.target.value as ChartLook["axis"] })}>
              <option value="step">Step</option>
              <option value="time">Time</option>
            </select>
          </>
        )}
        <label className="row small" style={{ gap: 4 }}>
          <input type="checkbox" checked={look.log} onChange={(event) => setLook({ ...look, log: event.target.checked })} /> Log axis
        </label>
      </div>
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
                <Chart key={key} name={key} runs={runs} look={look} stream={stream} />
              ))}
            </div>
            {members.length > shown.length && (
              <button type="button" className="button" onClick={() => setAll([...all, group])}>
                Show all {members.length}
              </button>
            )}
          </details>
        );
      })}
    </div>
  );
}
