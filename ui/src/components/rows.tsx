/** A table of rows that open: keyboard, click, selection; new rows wait while the reader is busy. */
import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef, useState } from "react";
import { More } from "./view";

export interface Column<T> {
  name: string;
  cell: (row: T) => ReactNode;
  num?: boolean;
  /** Hidden on a phone. */
  wide?: boolean;
  hidden?: boolean;
  /** Takes the room that is left, and is cut where there is too little. */
  grow?: boolean;
  /** Stands in a line of its own under its row where the table is narrow. The last column only. */
  under?: boolean;
  /** Pixels. Where columns say theirs, the table keeps them whatever its rows hold. */
  width?: number;
}

const classOf = (column: { num?: boolean; wide?: boolean; grow?: boolean; under?: boolean }) =>
  [column.num && "num", column.wide && "phone-hide", column.grow && "grows", column.under && "under"].filter(Boolean).join(" ");

/** Rows that are drawn before one asks for more. */
const DRAWN = 500;

/** The whole text of a cell that is cut, while one points at it. */
function tellWhole(event: PointerEvent) {
  const cell = (event.target as HTMLElement).closest("td");
  if (!cell || cell.title || cell.querySelector("[title]")) return;
  if (cell.scrollWidth > cell.clientWidth) cell.title = cell.textContent;
}

/** Draws `rows`; `j`/`k`/arrows move, Enter opens, `x` selects. A list without any is a table still, which says `empty`. */
export function Rows<T>({ name, rows, columns, id, onOpen, open, selection, empty }: {
  name: string;
  rows: T[];
  columns: Column<T>[];
  id: (row: T) => string;
  onOpen?: (row: T) => void;
  open?: string | null | undefined;
  selection?: { chosen: Set<string>; toggle: (id: string) => void; all: () => void };
  /** Why there is no row, and what makes one. */
  empty?: ReactNode;
}) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [most, setMost] = useState(DRAWN);
  const drawn = rows.length > most ? rows.slice(0, most) : rows;
  const onKey = (event: KeyboardEvent, row: T, index: number) => {
    if (event.target !== event.currentTarget) return;
    const go = (step: number) => (body.current?.rows[index + step] as HTMLElement | undefined)?.focus();
    if (event.key === "ArrowDown" || event.key === "j") go(1);
    else if (event.key === "ArrowUp" || event.key === "k") go(-1);
    else if (event.key === "Enter" && onOpen) onOpen(row);
    else if (event.key === "x" && selection) selection.toggle(id(row));
    else return;
    event.preventDefault();
  };
  const table = (
    <div className="table-box">
      <table className={columns.some((column) => column.width) ? "table kept" : "table"} aria-label={name}>
        {rows.length === 0 && empty && <caption>{empty}</caption>}
        <thead>
          <tr>
            {selection && (
              <th style={{ width: 32 }}>
                <input type="checkbox" aria-label="Select all rows" checked={rows.length > 0 && selection.chosen.size === rows.length} onChange={selection.all} />
              </th>
            )}
            {columns.map((column) => (
              <th key={column.name} className={classOf(column)} style={column.width ? { width: column.width } : undefined}>
                {column.hidden ? <span className="hidden-text">{column.name}</span> : column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body} onPointerOver={tellWhole}>
          {drawn.map((row, index) => (
            <tr
              key={id(row)}
              tabIndex={0}
              className={`${onOpen ? "can-open" : ""} ${open === id(row) ? "current" : ""}`}
              onKeyDown={(event) => onKey(event, row, index)}
              onClick={(event) => {
                // Links, buttons and selected text in a row are not the row.
                if ((event.target as HTMLElement).closest("a, button, input, label") || getSelection()?.toString()) return;
                onOpen?.(row);
              }}
            >
              {selection && (
                <td>
                  <input type="checkbox" aria-label={`Select ${id(row)}`} checked={selection.chosen.has(id(row))} onChange={() => selection.toggle(id(row))} />
                </td>
              )}
              {columns.map((column) => (
                <td key={column.name} className={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
  if (drawn === rows) return table;
  return (
    <>
      {table}
      <More shown={most} of={rows.length} what="rows" more={() => setMost(most + 2 * DRAWN)} />
    </>
  );
}

/** Chosen rows by id. */
export function useSelection(ids: string[]) {
  const [chosen, setChosen] = useState<Set<string>>(new Set());
  const here = new Set(ids.filter((id) => chosen.has(id)));
  return {
    chosen: here,
    toggle: (id: string) => setChosen((before) => (before.has(id) ? new Set([...before].filter((known) => known !== id)) : new Set([...before, id]))),
    all: () => setChosen(here.size === ids.length ? new Set() : new Set(ids)),
    none: () => setChosen(new Set()),
  };
}

/** Holds back rows that appear at the top while the reader has scrolled down or hovers: nothing jumps under the pointer.
    Rows that are known are always shown as they are now. Another `scope` (an order, a filter, a further page) is another
    list, of which nothing is held back. */
export function useQuietRows<T>(rows: T[], id: (row: T) => string, busy: boolean, scope = ""): { rows: T[]; fresh: number; show: () => void } {
  const [known, setKnown] = useState<{ ids: Set<string>; scope: string } | null>(null);
  const ids = rows.map(id);
  if (!busy || known === null || known.scope !== scope) {
    const same = known !== null && known.scope === scope && known.ids.size === ids.length && ids.every((one) => known.ids.has(one));
    if (!same) setKnown({ ids: new Set(ids), scope });
    return { rows, fresh: 0, show: () => undefined };
  }
  const seen = rows.filter((row) => known.ids.has(id(row)));
  return { rows: seen, fresh: rows.length - seen.length, show: () => setKnown({ ids: new Set(ids), scope }) };
}
