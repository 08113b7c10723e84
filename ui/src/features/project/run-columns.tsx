import { useMemo, useState } from "react";
import type { Run } from "../../api/types";
import { Icon } from "../../components/icons";
import { Dialog } from "../../components/parts";
import { leaves } from "../launch/inputs";
import type { ProjectKeys } from "./run-keys";
import { ownColumns, type RunLayout, stepped } from "./run-layout";

/** Settings that differ between runs say more than those that do not: they come first. */
export function tellingKeys(runs: Pick<Run, "config">[]): string[] {
  const seen = new Map<string, Set<string>>();
  for (const run of runs) {
    for (const [key, value] of leaves(run.config)) {
      if (key.startsWith("_") || typeof value === "object") continue;
      seen.set(key, (seen.get(key) ?? new Set()).add(String(value)));
    }
  }
  return [...seen].sort(([, a], [, b]) => Number(b.size > 1) - Number(a.size > 1)).map(([key]) => key);
}

/** The state, then what the runs reached, when, and with which settings. */
export function defaultColumns(runs: Run[], keys: ProjectKeys): string[] {
  const config = tellingKeys(runs.slice(0, 40)).slice(0, 3).map((key) => `config.${key}`);
  return ["state", ...keys.metrics.slice(0, 4), "created", "duration", ...config, "author", "tags"];
}

/** The column picker; with a thousand keys it needs its search. Chosen columns stand first, in their order. */
export function ColumnPicker(props: PickerProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Columns
      </button>
      {open && <Picker {...props} onClose={() => setOpen(false)} />}
    </>
  );
}

interface PickerProps {
  /** All that the runs have. */
  keys: string[];
  chosen: string[];
  pinned: string[];
  onLayout: (change: Partial<RunLayout>) => void;
  /** Null where nothing differs from the default. */
  onReset: (() => void) | null;
}

function Picker({ keys, chosen, pinned, onLayout, onReset, onClose }: PickerProps & { onClose: () => void }) {
  const [text, setText] = useState("");
  const all = useMemo(() => [...ownColumns, ...keys], [keys]);
  const fits = (key: string) => key.toLowerCase().includes(text.toLowerCase());
  const rest = all.filter((key) => !chosen.includes(key) && fits(key));
  const move = (key: string, step: 1 | -1) => onLayout({ columns: stepped(chosen, pinned, key, step) });
  return (
    <Dialog
      title="Columns"
      name="Columns"
      onClose={onClose}
      foot={
        onReset && (
          <button type="button" className="button" onClick={onReset}>
            Reset to the default
          </button>
        )
      }
    >
      <input className="input" type="search" aria-label="Search columns" placeholder={`Search ${all.length.toLocaleString("en-US")} columns`} value={text} onChange={(event) => setText(event.target.value)} />
      <div className="stack" style={{ gap: 2 }}>
        {chosen.filter(fits).map((key) => (
          <div key={key} className="row">
            <label className="row grow">
              <input type="checkbox" checked onChange={() => onLayout({ columns: chosen.filter((one) => one !== key) })} />
              <span className="cut">{key}</span>
            </label>
            <button type="button" className="copy pin" aria-pressed={pinned.includes(key)} aria-label={`Keep ${key} at the left`} title="Keep at the left while one scrolls" onClick={() => onLayout({ pinned: pinned.includes(key) ? pinned.filter((one) => one !== key) : [...pinned, key] })}>
              <Icon name="pin" />
            </button>
            <button type="button" className="copy" aria-label={`Move ${key} to the left`} onClick={() => move(key, -1)}>
              ↑
            </button>
            <button type="button" className="copy" aria-label={`Move ${key} to the right`} onClick={() => move(key, 1)}>
              ↓
            </button>
          </div>
        ))}
        {rest.slice(0, 200).map((key) => (
          <label key={key} className="row">
            <input type="checkbox" checked={false} onChange={() => onLayout({ columns: [...chosen, key] })} />
            <span className="cut">{key}</span>
          </label>
        ))}
      </div>
      {rest.length > 200 && <p className="quiet small">200 of {rest.length.toLocaleString("en-US")} are shown; the search narrows them.</p>}
    </Dialog>
  );
}
