import { columnOrderingFeature, columnPinningFeature, columnResizingFeature, type columnResizingState, columnSizingFeature, columnVisibilityFeature, functionalUpdate, rowSelectionFeature, rowSortingFeature, tableFeatures, type Updater, useTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, type KeyboardEvent, type MouseEvent, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation } from "react-router";
import type { Run } from "../../api/types";
import { rowHeight, useDensity } from "../../app/density";
import { Icon } from "../../components/icons";
import { colourOf } from "../../components/plot";
import { Swatch } from "../../components/swatch";
import { RunCell } from "./run-cells";
import { columnOf, dropped, fitting, LEAST_WIDTH, MOST_WIDTH, type RunLayout, stepped } from "./run-layout";
import { Order, RunsHead, sortOf, Widener } from "./runs-head";

/** What we use of the library: the state of columns and rows. Order and filter are questions to the server, which has more runs than a
    browser should hold. */
export const features = tableFeatures({ columnVisibilityFeature, columnOrderingFeature, columnPinningFeature, columnSizingFeature, columnResizingFeature, rowSelectionFeature, rowSortingFeature });

/** Columns that every table has, at its left. */
const fixed = ["select", "line", "name"];
const fixedColumns = [
  { id: "select", size: 36, enableResizing: false, enableSorting: false },
  { id: "line", size: 60, enableResizing: false, enableSorting: false },
  { id: "name", size: 170, enableSorting: true },
];

/** What the server calls the order of a column. */
const orderOf = (id: string) => (id === "name" ? "display_name" : columnOf(id).order);

const resting: columnResizingState = { startOffset: null, startSize: null, deltaOffset: null, deltaPercentage: null, isResizingColumn: false, columnSizingStart: [] };

/** A width under way: the address hears of it when the hand lets go. */
function useResizing() {
  const [resizing, setResizing] = useState(resting);
  const now = useRef(resting);
  // The library reads what its change worked out right after it: it cannot wait for the next drawing.
  const change = (updater: Updater<columnResizingState>) => {
    now.current = functionalUpdate(updater, now.current);
    setResizing(now.current);
  };
  const id = resizing.isResizingColumn;
  const moving: Record<string, number> = id === false ? {} : { [id]: fitting((resizing.startSize ?? 0) + (resizing.deltaOffset ?? 0)) };
  return { resizing, change, moving };
}

interface Props {
  runs: Run[];
  /** The keys of the columns that are shown, in their order. */
  keys: string[];
  layout: RunLayout;
  onLayout: (change: Partial<RunLayout>) => void;
  order: string;
  onOrder: (order: string) => void;
  hidden: Set<string>;
  onHide: (id: string) => void;
  /** The run whose drawer is open. */
  open: string | null;
  onOpen: (id: string) => void;
  /** Selected runs, also such that are not loaded. */
  picked: Set<string>;
  onPick: (ids: Set<string>) => void;
  onTag: (tag: string) => void;
  more: (() => void) | null;
  /** The next page is on its way. */
  busy: boolean;
}

/** How far down each visit of the page was: the way back leads to where one was. */
const scrolled = new Map<string, number>();

/** The runs table: only the rows in view exist, so ten thousand scroll like ten. */
export function RunsTable({ runs, keys, layout, onLayout, order, onOrder, hidden, onHide, open, onOpen, picked, onPick, onTag, more, busy }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const height = rowHeight(useDensity());
  const { key: visit } = useLocation();
  const { resizing, change, moving } = useResizing();

  const names = keys.join("\n");
  const definitions = useMemo(
    () => [...fixedColumns, ...keys.map(columnOf).map(({ key, width, order }) => ({ id: key, size: width, enableSorting: order !== null }))].map((column) => ({ ...column, accessorFn: (run: Run) => run, minSize: Math.min(LEAST_WIDTH, column.size), maxSize: MOST_WIDTH })),
    // Cells read the run themselves; without an accessor the library orders by no column.
    // The list is a new one at each drawing; the names are what is in it.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [names],
  );
  const pinning = { start: [...fixed, ...keys.filter((key) => layout.pinned.includes(key))], end: [] };
  const sorting = ["name", ...keys].filter((key) => orderOf(key) === order.slice(1)).map((id) => ({ id, desc: order.startsWith("-") }));
  const selection = useMemo(() => Object.fromEntries([...picked].map((id) => [id, true as const])), [picked]);
  const table = useTable({
    features,
    data: runs,
    columns: definitions,
    getRowId: (run) => run.id,
    state: { columnOrder: [...fixed, ...keys], columnPinning: pinning, columnSizing: { ...layout.widths, ...moving }, columnResizing: resizing, rowSelection: selection, sorting },
    columnResizeMode: "onEnd",
    onColumnResizingChange: change,
    onColumnSizingChange: (updater) => onLayout({ widths: functionalUpdate(updater, layout.widths) }),
    onColumnPinningChange: (updater) => onLayout({ pinned: functionalUpdate(updater, pinning).start.filter((key) => !fixed.includes(key)) }),
    onRowSelectionChange: (updater) => onPick(new Set(Object.entries(functionalUpdate(updater, selection)).flatMap(([id, on]) => (on ? [id] : [])))),
    manualSorting: true,
    enableMultiSort: false,
    onSortingChange: (updater) => {
      const [first] = functionalUpdate(updater, sorting);
      const by = first && orderOf(first.id);
      if (by) onOrder(`${first.desc ? "-" : "+"}${by}`);
    },
  });
  const rows = table.getRowModel().rows;
  const headers = table.getFlatHeaders();
  const shown = headers.map((header) => header.column);

  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => box.current, estimateSize: () => height, overscan: 20, initialOffset: scrolled.get(visit) ?? 0 });
  const items = virtual.getVirtualItems();
  const last = virtual.range?.endIndex ?? 0;
  const below = (virtual.scrollOffset ?? 0) > 0;
  useEffect(() => {
    // Who scrolls has the next page before the end of this one; who only looks asks for no more than is seen.
    if (more && (last >= rows.length - 1 || (below && last > rows.length - 100))) more();
  }, [more, last, below, rows.length]);

  useEffect(() => virtual.measure(), [virtual, height]);

  const onKey = (event: KeyboardEvent<HTMLTableRowElement>, index: number) => {
    const row = rows[index];
    if (event.target !== event.currentTarget || !row) return;
    const go = (to: number) => {
      virtual.scrollToIndex(to);
      requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-index="${to}"]`)?.focus());
    };
    if (event.key === "ArrowDown" || event.key === "j") go(Math.min(index + 1, rows.length - 1));
    else if (event.key === "ArrowUp" || event.key === "k") go(Math.max(index - 1, 0));
    else if (event.key === "x") row.toggleSelected();
    else if (event.key === "h") onHide(row.id);
    else if (event.key === "Enter") onOpen(row.id);
    else return;
    event.preventDefault();
  };
  const onClick = (event: MouseEvent, run: Run) => {
    // Links, buttons and selected text in a row are not the row.
    if ((event.target as HTMLElement).closest("a, button, input, label") || getSelection()?.toString()) return;
    onOpen(run.id);
  };
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  const lastPinned = pinning.start.at(-1);
  // Cells that stay at the left know how far from it.
  const place: Record<string, { className: string; style: CSSProperties }> = Object.fromEntries(
    shown.map((column) => [column.id, column.getIsPinned() ? { className: column.id === lastPinned ? "pinned edge" : "pinned", style: { left: column.getStart("start") } } : { className: "", style: {} }]),
  );
  const gap = (size: number) =>
    size > 0 && (
      <tr aria-hidden="true">
        <td style={{ height: size, padding: 0 }} colSpan={shown.length} />
      </tr>
    );

  return (
    <div className="table-box runs-box" ref={box} aria-busy={busy} onScroll={(event) => scrolled.set(visit, event.currentTarget.scrollTop)}>
      <table className="table" aria-label="Runs" aria-rowcount={rows.length + 1} style={{ tableLayout: "fixed", width: table.getTotalSize() }}>
        <colgroup>
          {shown.map((column) => (
            <col key={column.id} style={{ width: column.getSize() }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {headers.map((header) => {
              const key = header.column.id;
              const { className, style } = place[key] ?? { className: "", style: {} };
              if (key === "select")
                return (
                  <th key={key} className={className} style={{ ...style, paddingRight: 0 }}>
                    <input type="checkbox" aria-label="Select all loaded runs" checked={rows.length > 0 && table.getIsAllRowsSelected()} onChange={() => table.toggleAllRowsSelected()} />
                  </th>
                );
              if (key === "line")
                return (
                  <th key={key} className={className} style={style}>
                    <span className="hidden-text">Line in the charts</span>
                  </th>
                );
              if (key === "name")
                return (
                  <th key={key} aria-sort={sortOf(header)} className={className} style={style}>
                    <Order header={header} name="Name" />
                    <Widener header={header} />
                  </th>
                );
              return (
                <RunsHead
                  key={key}
                  header={header}
                  name={columnOf(key).name}
                  className={className}
                  style={style}
                  onDrop={(other) => onLayout(dropped(keys, layout.pinned, other, key))}
                  onMove={(step) => onLayout({ columns: stepped(keys, layout.pinned, key, step) })}
                  onWidth={(width) => onLayout({ widths: { ...layout.widths, [key]: fitting(width) } })}
                  onHide={() => onLayout({ columns: keys.filter((one) => one !== key) })}
                />
              );
            })}
          </tr>
        </thead>
        <tbody>
          {gap(before)}
          {items.map((item) => {
            const row = rows[item.index];
            if (!row) return null;
            const run = row.original;
            const off = hidden.has(run.id);
            return (
              <tr key={run.id} data-index={item.index} aria-rowindex={item.index + 2} tabIndex={0} className={open === run.id ? "can-open current" : "can-open"} aria-selected={row.getIsSelected()} onClick={(event) => onClick(event, run)} onKeyDown={(event) => onKey(event, item.index)}>
                {shown.map(({ id }) => {
                  const { className, style } = place[id] ?? { className: "", style: {} };
                  if (id === "select")
                    return (
                      <td key={id} className={className} style={{ ...style, paddingRight: 0 }}>
                        {/* With Shift all between this one and the last one. */}
                        <input type="checkbox" aria-label={`Select ${run.name}`} checked={row.getIsSelected()} onChange={(event) => row.getToggleSelectedHandler()(event)} />
                      </td>
                    );
                  if (id === "line")
                    return (
                      <td key={id} className={className} style={style}>
                        <button type="button" className="copy" aria-pressed={!off} aria-label={`${off ? "Show" : "Hide"} ${run.name} in the charts`} onClick={() => onHide(run.id)}>
                          <span className="row" style={{ gap: 4 }}>
                            <Icon name={off ? "eyeOff" : "eye"} />
                            <Swatch {...colourOf(run.number)} off={off} />
                          </span>
                        </button>
                      </td>
                    );
                  if (id === "name")
                    return (
                      <td key={id} className={`cut ${className}`} style={style}>
                        <Link to={`/${run.entity}/${run.project}/runs/${run.id}`} title={run.name}>
                          {run.name}
                        </Link>
                      </td>
                    );
                  return (
                    <td key={id} className={`cut ${className}`} style={{ ...style, fontVariantNumeric: "tabular-nums" }}>
                      <RunCell run={run} column={id} onTag={onTag} />
                    </td>
                  );
                })}
              </tr>
            );
          })}
          {gap(after)}
        </tbody>
      </table>
    </div>
  );
}
