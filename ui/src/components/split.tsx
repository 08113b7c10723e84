/** Two panes with a handle between them. The share of the left one is kept in this browser. */
import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef, useState } from "react";

const LEAST = 20;
const MOST = 80;
/** Pixels that the left pane keeps, however narrow the window: a table with fewer shows one column. */
const LEFT = 380;

/** A share that leaves the left pane its pixels, of a box so wide; the width is not known before it is drawn. */
export const clamped = (share: number, width = Infinity) => Math.min(MOST, Math.max(LEAST, (100 * LEFT) / width, share));

export function Split({ name, left, right, start = 46 }: { name: string; left: ReactNode; right: ReactNode; start?: number }) {
  const place = `lanza.split.${name}`;
  const [share, setShare] = useState(() => clamped(Number(localStorage.getItem(place)) || start));
  const box = useRef<HTMLDivElement>(null);
  const keep = (next: number) => {
    const value = clamped(next, box.current?.getBoundingClientRect().width || Infinity);
    setShare(value);
    localStorage.setItem(place, value.toFixed(1));
  };
  const drag = (event: PointerEvent<HTMLDivElement>) => {
    const area = box.current?.getBoundingClientRect();
    if (area && event.currentTarget.hasPointerCapture(event.pointerId)) keep(((event.clientX - area.left) / area.width) * 100);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowLeft" ? -2 : event.key === "ArrowRight" ? 2 : 0;
    if (step === 0) return;
    event.preventDefault();
    keep(share + step);
  };
  return (
    <div className="split" ref={box} style={{ gridTemplateColumns: `minmax(${LEFT}px, ${share}fr) 9px minmax(0, ${100 - share}fr)` }}>
      <div className="pane">{left}</div>
      {/* A separator that moves is a widget: it takes the focus and the arrow keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        className="split-handle"
        role="separator"
        aria-orientation="vertical"
        aria-label="Width of the table"
        aria-valuenow={Math.round(share)}
        aria-valuemin={LEAST}
        aria-valuemax={MOST}
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        onPointerDown={(event) => {
          event.preventDefault();
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={drag}
        onDoubleClick={() => keep(start)}
        onKeyDown={onKey}
      />
      <div className="pane">{right}</div>
    </div>
  );
}
