/** The head of a column of the runs table: a click orders by it, dragging moves or widens it, a right click says what else. */
import type { Header } from "@tanstack/react-table";
import { ContextMenu } from "radix-ui";
import { type CSSProperties, type DragEvent, useState } from "react";
import type { Run } from "../../api/types";
import type { features } from "./runs-table";

/** Pixels that a key press widens a column by. */
const WIDER = 24;
/** What a drag carries, so that nothing else is taken for a column. */
const KIND = "application/x-lanza-column";

export type RunHeader = Header<typeof features, Run, unknown>;

export const sortOf = (header: RunHeader) => ({ asc: "ascending" as const, desc: "descending" as const, no: undefined })[header.column.getIsSorted() || "no"];

/** Orders the runs by a column: greatest first, then the other way. */
export function Order({ header: { column }, name }: { header: RunHeader; name: string }) {
  const sorted = column.getIsSorted();
  return (
    <button type="button" onClick={() => column.toggleSorting(sorted !== "desc")}>
      {name} {sorted === "asc" ? "↑" : sorted === "desc" ? "↓" : ""}
    </button>
  );
}

interface Props {
  header: RunHeader;
  name: string;
  className: string;
  style: CSSProperties;
  /** Puts the column `key` into the place of this one. */
  onDrop: (key: string) => void;
  onMove: (step: 1 | -1) => void;
  onWidth: (width: number) => void;
  onHide: () => void;
}

export function RunsHead({ header, name, className, style, onDrop, onMove, onWidth, onHide }: Props) {
  const [over, setOver] = useState(false);
  const { column } = header;
  const pinned = column.getIsPinned() !== false;
  const carries = (event: DragEvent) => event.dataTransfer.types.includes(KIND);
  return (
    <ContextMenu.Root modal={false}>
      <ContextMenu.Trigger asChild>
        <th
          aria-sort={sortOf(header)}
          title={column.id}
          className={`cut ${className} ${over ? "drop" : ""}`}
          style={style}
          draggable
          onDragStart={(event) => {
            event.dataTransfer.setData(KIND, column.id);
            event.dataTransfer.effectAllowed = "move";
          }}
          onDragOver={(event) => {
            if (!carries(event)) return;
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            setOver(false);
            if (!carries(event)) return;
            event.preventDefault();
            onDrop(event.dataTransfer.getData(KIND));
          }}
        >
          {column.getCanSort() ? <Order header={header} name={name} /> : name}
          <Widener header={header} />
        </th>
      </ContextMenu.Trigger>
      <ContextMenu.Portal>
        <ContextMenu.Content className="menu" aria-label={`Column ${name}`}>
          {column.getCanSort() && (
            <>
              <ContextMenu.Item onSelect={() => column.toggleSorting(false)}>Least first</ContextMenu.Item>
              <ContextMenu.Item onSelect={() => column.toggleSorting(true)}>Greatest first</ContextMenu.Item>
            </>
          )}
          <ContextMenu.Item onSelect={() => column.pin(pinned ? false : "start")}>{pinned ? "Unpin" : "Pin to the left"}</ContextMenu.Item>
          <ContextMenu.Item onSelect={() => onMove(-1)}>Move to the left</ContextMenu.Item>
          <ContextMenu.Item onSelect={() => onMove(1)}>Move to the right</ContextMenu.Item>
          {/* One presses these more than once. */}
          {[WIDER, -WIDER].map((step) => (
            <ContextMenu.Item
              key={step}
              onSelect={(event) => {
                event.preventDefault();
                onWidth(column.getSize() + step);
              }}
            >
              {step > 0 ? "Wider" : "Narrower"}
            </ContextMenu.Item>
          ))}
          <ContextMenu.Item onSelect={() => column.resetSize()}>Default width</ContextMenu.Item>
          <ContextMenu.Item onSelect={onHide}>Hide</ContextMenu.Item>
        </ContextMenu.Content>
      </ContextMenu.Portal>
    </ContextMenu.Root>
  );
}

/** The edge that one drags to widen a column; two clicks give it its width back. The menu does the same for the keyboard. */
export function Widener({ header }: { header: RunHeader }) {
  const begin = header.getResizeHandler();
  return (
    <span
      className={header.column.getIsResizing() ? "widener active" : "widener"}
      aria-hidden="true"
      onMouseDown={begin}
      onTouchStart={begin}
      onDoubleClick={() => header.column.resetSize()}
      // A drag of the edge is none of the column.
      draggable
      onDragStart={(event) => {
        event.preventDefault();
        event.stopPropagation();
      }}
    />
  );
}
