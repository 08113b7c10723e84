/** A JSON document as a searchable tree. */
import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { writeExactly } from "../api/exact";
import { metric, shortJson } from "../format/text";
import { Copy } from "./parts";

/** Nodes that are drawn; beyond it the search must narrow. */
const MOST = 600;

interface Node {
  key: string;
  path: string;
  value: unknown;
  children: Node[] | null;
}

function nodesOf(value: object, prefix: string): Node[] {
  return Object.entries(value).map(([key, inner]) => {
    const path = prefix ? `${prefix}.${key}` : key;
    const deep = inner !== null && typeof inner === "object" && Object.keys(inner as object).length > 0;
    return { key, path, value: inner, children: deep ? nodesOf(inner as object, path) : null };
  });
}

function filtered(nodes: Node[], wanted: string): Node[] {
  if (wanted === "") return nodes;
  return nodes.flatMap((node) => {
    const hit = node.path.toLowerCase().includes(wanted) || (!node.children && shortJson(node.value).toLowerCase().includes(wanted));
    if (!node.children) return hit ? [node] : [];
    const inner = hit && node.path.toLowerCase().includes(wanted) ? node.children : filtered(node.children, wanted);
    return inner.length > 0 ? [{ ...node, children: inner }] : [];
  });
}

const sizeOf = (nodes: Node[]): number => nodes.reduce((sum, node) => sum + 1 + (node.children ? sizeOf(node.children) : 0), 0);

/** `rounded` is for results; everything else is shown to its last digit. */
export function Tree({ name, value, search = false, rounded = false }: { name: string; value: unknown; search?: boolean; rounded?: boolean }) {
  const [text, setText] = useState("");
  const [shut, setShut] = useState<Set<string>>(new Set());
  const box = useRef<HTMLUListElement>(null);
  const all = useMemo(() => (value && typeof value === "object" ? nodesOf(value, "") : []), [value]);
  const nodes = useMemo(() => filtered(all, text.toLowerCase()), [all, text]);
  const size = useMemo(() => sizeOf(nodes), [nodes]);
  const left = { n: MOST };

  const onKey = (event: KeyboardEvent) => {
    const rows = [...(box.current?.querySelectorAll<HTMLElement>('[role="treeitem"]') ?? [])];
    const at = rows.indexOf(document.activeElement as HTMLElement);
    const path = rows[at]?.dataset.path;
    if (event.key === "ArrowDown") rows[at + 1]?.focus();
    else if (event.key === "ArrowUp") rows[at - 1]?.focus();
    else if (event.key === "ArrowLeft" && path) setShut(new Set([...shut, path]));
    else if (event.key === "ArrowRight" && path) setShut(new Set([...shut].filter((one) => one !== path)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const toggle = (path: string) => setShut(shut.has(path) ? new Set([...shut].filter((one) => one !== path)) : new Set([...shut, path]));

  const draw = (list: Node[], depth: number) =>
    list.map((node) => {
      if (left.n-- <= 0) return null;
      const open = node.children !== null && !shut.has(node.path);
      return (
        <li
          key={node.path}
          role="treeitem"
          aria-selected={false}
          aria-level={depth}
          tabIndex={depth === 1 && node === list[0] ? 0 : -1}
          data-path={node.path}
          {...(node.children ? { "aria-expanded": open } : {})}
          aria-label={node.children ? node.key : `${node.key}: ${shortJson(node.value)}`}
        >
          {node.children ? (
            <>
              <button type="button" className="twist" tabIndex={-1} onClick={() => toggle(node.path)}>
                {open ? "▾" : "▸"} <span className="key">{node.key}</span> <span className="quiet">{open ? "" : Array.isArray(node.value) ? `[${node.children.length}]` : `{${node.children.length}}`}</span>
              </button>
              {open && <ul role="group">{draw(node.children, depth + 1)}</ul>}
            </>
          ) : (
            <div className="leaf">
              <span className="key">{node.key}</span>
              <span className="value" title={shortJson(node.value)}>
                {rounded && typeof node.value === "number" ? metric(node.value) : shortJson(node.value)}
              </span>
            </div>
          )}
        </li>
      );
    });

  return (
    <div className="stack" style={{ gap: 6 }}>
      {search && (
        <div className="row">
          <input className="input" style={{ maxWidth: 280 }} type="search" aria-label={`Search ${name}`} placeholder={`Search ${name.toLowerCase()}`} value={text} onChange={(event) => setText(event.target.value)} />
          <Copy text={writeExactly(value, 2)} what={`Copy ${name} as JSON`} label="Copy JSON" />
        </div>
      )}
      {nodes.length === 0 ? (
        <p className="quiet">{text ? "Nothing is called that." : "Nothing is in it."}</p>
      ) : (
        <ul className="tree" role="tree" aria-label={name} ref={box} onKeyDown={onKey}>
          {draw(nodes, 1)}
        </ul>
      )}
      {size > MOST && (
        <p className="quiet small">
          {MOST} of {size.toLocaleString("en-US")} entries are shown. {search ? "Search narrows them." : ""}
        </p>
      )}
    </div>
  );
}
