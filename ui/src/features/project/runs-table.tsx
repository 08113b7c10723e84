import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type MouseEvent, useEffect, useRef } from "react";
import { Link } from "react-router";
import type { Run } from "../../api/types";
import { rowHeight, useDensity } from "../../app/density";
import { Icon } from "../../components/icons";
import { Ago, Lasted } from "../../components/parts";
import { colourOf } from "../../components/plot";
import { State } from "../../components/state";
import { metric, shortJson } from "../../format/text";
import { jobAddress } from "../item/item-columns";
import { atPath } from "../launch/inputs";

/** A column: one of the run's own, `config.KEY` or `summary.KEY`. */
export interface RunColumn {
  key: string;
  name: string;
  /** The key that the server orders by; none: it does not. */
  order: string | null;
  width: number;
}

export function columnOf(key: string): RunColumn {
  const own: Record<string, Omit<RunColumn, "key">> = {
    state: { name: "State", order: "state", width: 104 },
    author: { name: "By", order: "username", width: 96 },
    created: { name: "Created", order: "created_at", width: 100 },
    duration: { name: "Ran", order: "duration", width: 84 },
    tags: { name: "Tags", order: null, width: 140 },
    job: { name: "Job", order: null, width: 160 },
    group: { name: "Group", order: "group", width: 120 },
    job_type: { name: "Job type", order: "job_type", width: 100 },
    host: { name: "Host", order: "host", width: 120 },
    notes: { name: "Notes", order: null, width: 180 },
    id: { name: "Id", order: "name", width: 100 },
  };
  const found = own[key];
  if (found) return { key, ...found };
  if (key.startsWith("config.")) return { key, name: key.slice(7), order: key, width: 110 };
  return { key, name: key.slice(8), order: `summary_metrics.${key.slice(8)}`, width: 110 };
}

function cell(run: Run, key: string, onTag: (tag: string) => void) {
  switch (key) {
    case "state":
      return <State state={run.state} />;
    case "author":
      return run.author;
    case "created":
      return <Ago time={run.created_at} />;
    case "duration":
      return <Lasted from={run.created_at} to={run.ended_at ?? (run.state === "running" ? null : run.heartbeat_at)} />;
    case "tags":
      return run.tags.map((tag) => (
        <button key={tag} type="button" className="chip" title={`Filter by ${tag}`} style={{ marginRight: 4 }} onClick={() => onTag(tag)}>
          {tag}
        </button>
      ));
    case "job": {
      const to = run.job ? jobAddress(run.job) : null;
      return to ? <Link to={to}>{run.job?.split("/").at(-1)}</Link> : "";
    }
    case "group":
      return run.group;
    case "job_type":
      return run.job_type;
    case "host":
      return run.host;
    case "notes":
      return run.notes.split("\n", 1)[0];
    case "id":
      return <code>{run.id}</code>;
    default: {
      const value = key.startsWith("config.") ? atPath(run.config, key.slice(7)) : atPath(run.summary, key.slice(8));
      return typeof value === "number" ? metric(value) : value === undefined ? "" : shortJson(value);
    }
  }
}

interface Props {
  project: string;
  runs: Run[];
  columns: RunColumn[];
  order: string;
  onOrder: (order: string) => void;
  hidden: Set<string>;
  onHide: (id: string) => void;
  /** The run whose drawer is open. */
  open: string | null;
  onOpen: (id: string) => void;
  chosen: Set<string>;
  onChoose: (id: string) => void;
  onAll: () => void;
  onTag: (tag: string) => void;
  more: (() => void) | null;
  /** The next page is on its way. */
  busy: boolean;
}

/** The runs table: only the rows in view exist, so ten thousand scroll like ten. */
export function RunsTable({ project, runs, columns, order, onOrder, hidden, onHide, open, onOpen, chosen, onChoose, onAll, onTag, more, busy }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const height = rowHeight(useDensity());
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({ count: runs.length, getScrollElement: () => box.current, estimateSize: () => height, overscan: 20 });
  const items = virtual.getVirtualItems();
  const last = virtual.range?.endIndex ?? 0;
  const scrolled = (virtual.scrollOffset ?? 0) > 0;
  useEffect(() => {
    // Who scrolls has the next page before the end of this one; who only looks asks for no more than is seen.
    if (more && (last >= runs.length - 1 || (scrolled && last > runs.length - 100))) more();
  }, [more, last, scrolled, runs.length]);

  useEffect(() => virtual.measure(), [virtual, height]);

  const sort = (column: RunColumn) => column.order && onOrder(order === `-${column.order}` ? `+${column.order}` : `-${column.order}`);
  const ordered = (column: RunColumn) => (order === `+${column.order}` ? "ascending" : order === `-${column.order}` ? "descending" : undefined);
  const onKey = (event: KeyboardEvent<HTMLTableRowElement>, index: number, run: Run) => {
    if (event.target !== event.currentTarget) return;
    const go = (to: number) => {
      virtual.scrollToIndex(to);
      requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-index="${to}"]`)?.focus());
    };
    if (event.key === "ArrowDown" || event.key === "j") go(Math.min(index + 1, runs.length - 1));
    else if (event.key === "ArrowUp" || event.key === "k") go(Math.max(index - 1, 0));
    else if (event.key === "x") onChoose(run.id);
    else if (event.key === "h") onHide(run.id);
    else if (event.key === "Enter") onOpen(run.id);
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

  return (
    <div className="table-box runs-box" ref={box} aria-busy={busy}>
      <table className="table" aria-label="Runs" aria-rowcount={runs.length + 1} style={{ tableLayout: "fixed", width: Math.max(0, 96 + 170 + columns.reduce((sum, column) => sum + column.width, 0)) }}>
        <colgroup>
          <col style={{ width: 36 }} />
          <col style={{ width: 60 }} />
          <col style={{ width: 170 }} />
          {columns.map((column) => (
            <col key={column.key} style={{ width: column.width }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            <th style={{ paddingRight: 0 }}>
              <input type="checkbox" aria-label="Select all loaded runs" checked={runs.length > 0 && chosen.size === runs.length} onChange={onAll} />
            </th>
            <th>
              <span className="hidden-text">Line in the charts</span>
            </th>
            <th>Name</th>
            {columns.map((column) => (
              <th key={column.key} aria-sort={ordered(column)} title={column.key} className="cut">
                {column.order ? (
                  <button type="button" onClick={() => sort(column)}>
                    {column.name} {ordered(column) === "ascending" ? "↑" : ordered(column) === "descending" ? "↓" : ""}
                  </button>
                ) : (
                  column.name
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: before, padding: 0 }} colSpan={columns.length + 3} />
            </tr>
          )}
          {items.map((item) => {
            const run = runs[item.index];
            if (!run) return null;
            const { colour } = colourOf(project, run.id);
            const off = hidden.has(run.id);
            return (
              <tr key={run.id} data-index={item.index} aria-rowindex={item.index + 2} tabIndex={0} className={open === run.id ? "can-open current" : "can-open"} aria-selected={chosen.has(run.id)} onClick={(event) => onClick(event, run)} onKeyDown={(event) => onKey(event, item.index, run)}>
                <td style={{ paddingRight: 0 }}>
                  <input type="checkbox" aria-label={`Select ${run.name}`} checked={chosen.has(run.id)} onChange={() => onChoose(run.id)} />
                </td>
                <td>
                  <button type="button" className="copy" aria-pressed={!off} aria-label={`${off ? "Show" : "Hide"} ${run.name} in the charts`} onClick={() => onHide(run.id)}>
                    <span className="row" style={{ gap: 4 }}>
                      <Icon name={off ? "eyeOff" : "eye"} />
                      <span className="dot" style={{ background: off ? "var(--n6)" : colour }} />
                    </span>
                  </button>
                </td>
                <td className="cut">
                  <Link to={`/${run.entity}/${run.project}/runs/${run.id}`} title={run.name}>
                    {run.name}
                  </Link>
                </td>
                {columns.map((column) => (
                  <td key={column.key} className="cut" style={{ fontVariantNumeric: "tabular-nums" }}>
                    {cell(run, column.key, onTag)}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && (
            <tr aria-hidden="true">
              <td style={{ height: after, padding: 0 }} colSpan={columns.length + 3} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}
