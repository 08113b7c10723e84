import { type PointerEvent, useRef, useState } from "react";
import { useWidth } from "../../../components/bars";
import { timeLabel, timeTicks } from "../../../components/ticks";
import { duration } from "../../../format/text";
import type { Lane, Placed } from "./timeline";

const ROW = 14;
const GAP = 8;
const TOP = 4;
const BOTTOM = 22;

/** Colours of attempts by how they stand or ended. */
export const spanColours: Record<string, string> = {
  leased: "var(--blue)",
  running: "var(--blue)",
  finished: "var(--green)",
  failed: "var(--red)",
  lost: "var(--red)",
  stopped: "var(--n9)",
  unreachable: "var(--amber)",
};

/** How an attempt stands, in the word of the tables. */
const standing = ({ span }: Placed) => (span.unreachable ? "unreachable" : span.state);

interface Props {
  lanes: Lane[];
  from: number;
  to: number;
  brush: { from: number; to: number } | null;
  onBrush: (range: { from: number; to: number } | null) => void;
  onOpen: (item: string) => void;
}

/** Attempts over time. Dragging over it chooses a range, which the table follows. */
export function Timeline({ lanes, from, to, brush, onBrush, onOpen }: Props) {
  const { ref, width } = useWidth();
  const [at, setAt] = useState<{ placed: Placed; x: number; y: number } | null>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const began = useRef<number | null>(null);
  const names = Math.min(170, Math.max(60, ...lanes.map((lane) => lane.name.length * 6.6 + 10)));
  const x = (time: number) => names + ((Math.min(to, Math.max(from, time)) - from) / (to - from)) * (width - names - 8);
  const timeAt = (pixel: number) => from + ((pixel - names) / (width - names - 8)) * (to - from);
  const tops: number[] = [];
  let height = TOP;
  for (const lane of lanes) {
    tops.push(height);
    height += lane.rows.length * ROW + GAP;
  }
  height += BOTTOM;
  const shown = drag ?? brush;
  const move = (event: PointerEvent) => {
    if (began.current === null) return;
    const now = timeAt(event.nativeEvent.offsetX);
    setDrag({ from: Math.max(from, Math.min(began.current, now)), to: Math.min(to, Math.max(began.current, now)) });
  };
  const end = () => {
    // A click is no range.
    if (drag && x(drag.to) - x(drag.from) > 4) onBrush({ from: Math.round(drag.from), to: Math.round(drag.to) });
    began.current = null;
    setDrag(null);
  };
  return (
    <div ref={ref} style={{ position: "relative" }}>
      <svg
        width={width}
        height={height}
        className="timeline"
        role="img"
        aria-label={`Timeline of attempts in ${lanes.length} lanes`}
        onPointerDown={(event) => {
          if (event.nativeEvent.offsetX < names || event.button !== 0) return;
          began.current = timeAt(event.nativeEvent.offsetX);
        }}
        onPointerMove={move}
        onPointerUp={end}
        onPointerLeave={() => {
          end();
          setAt(null);
        }}
      >
        <g className="grid" aria-hidden="true">
          {timeTicks(from, to, Math.max(2, Math.floor((width - names) / 90))).map((tick) => (
            <g key={tick}>
              <line x1={x(tick)} x2={x(tick)} y1={0} y2={height - BOTTOM} />
              <text x={x(tick)} y={height - 6} textAnchor="middle">
                {timeLabel(tick, to - from)}
              </text>
            </g>
          ))}
        </g>
        {lanes.map((lane, index) => (
          <g key={lane.name}>
            <text className="name" x={0} y={tops[index]! + ROW - 3}>
              {lane.name.length > 24 ? `${lane.name.slice(0, 23)}…` : lane.name}
            </text>
            {lane.rows.map((row, depth) =>
              row.map((placed) => (
                // The table below has the same attempts for the keyboard.
                <rect
                  key={`${placed.span.item} ${placed.span.number}`}
                  className="span"
                  x={x(placed.begin)}
                  y={tops[index]! + depth * ROW + 2}
                  width={Math.max(2, x(placed.end) - x(placed.begin) - 1)}
                  height={ROW - 4}
                  rx={2}
                  fill={spanColours[standing(placed)] ?? "var(--n9)"}
                  opacity={!shown || (placed.begin <= shown.to && placed.end >= shown.from) ? 0.85 : 0.25}
                  onPointerEnter={() => setAt({ placed, x: x(placed.begin), y: tops[index]! + (depth + 1) * ROW })}
                  onPointerLeave={() => setAt(null)}
                  onClick={() => onOpen(placed.span.item)}
                />
              )),
            )}
          </g>
        ))}
        {shown && <rect className="brush" x={x(shown.from)} y={0} width={Math.max(1, x(shown.to) - x(shown.from))} height={height - BOTTOM} pointerEvents="none" />}
      </svg>
      {at && !drag && (
        <div className="chart-tip" style={{ top: at.y + 4, left: Math.min(at.x, width - 240) }}>
          <strong>{at.placed.span.job?.split("/").at(-1) ?? "image"}</strong> {standing(at.placed)} · {duration(at.placed.end - at.placed.begin)}
          <div className="quiet">
            {at.placed.span.author}
            {at.placed.span.number > 1 ? ` · attempt ${at.placed.span.number}` : ""}
            {at.placed.span.cause ? ` · ${at.placed.span.cause}` : ""}
          </div>
        </div>
      )}
    </div>
  );
}
