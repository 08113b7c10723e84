/** The filter bar of a list that the page has whole. Words filter while one types and stand in the address a moment later
    (`q`); Enter makes a chip of them (`f`, once for each). */
import { type ReactNode, useCallback, useMemo } from "react";
import { put, useAddress, useSettled } from "../app/address";
import { FilterBar } from "./filter-bar";
import { type Fields, keepFitting, listChipText, listChipTyped, parseListChip, type ListChip } from "./list-filter";
import { suggestions } from "./suggest";
import { Empty } from "./view";

export interface ListFilter {
  bar: ReactNode;
  /** The rows that fit. */
  keep: <T>(rows: T[], fields: Fields<T>) => T[];
  /** What stands below a list of which nothing is left, and the way back. */
  none: (shown: readonly unknown[]) => ReactNode;
}

/** `keys` are what chips can name, `values` what is suggested after them. */
export function useListFilter(label: string, keys: string[], values: Record<string, string[]> = {}): ListFilter {
  const [params, change] = useAddress();
  const settle = useCallback((words: string) => change((next) => put(next, "q", words), { replace: true }), [change]);
  const [text, setText] = useSettled(params.get("q") ?? "", settle);
  const kept = params.getAll("f").join("\n");
  const known = keys.join();
  const chips = useMemo(() => kept.split("\n").map((one) => parseListChip(one, known.split(","))).filter((chip): chip is ListChip => chip !== null), [kept, known]);
  const write = (next: ListChip[]) =>
    change((address) => {
      address.delete("f");
      next.forEach((chip) => address.append("f", listChipTyped(chip)));
    });
  const typed = parseListChip(text, keys);
  // A chip that is half typed filters nothing yet; words do at once.
  const applied = typed?.key === "" && !isHalfTyped(text, keys) ? [...chips, typed] : chips;
  return {
    bar: (
      <FilterBar
        label={label}
        placeholder={keys.length > 0 ? `Filter  /   ${keys[0]}:…` : "Filter  /"}
        chips={chips.map((chip) => ({ id: listChipTyped(chip), shown: listChipText(chip), typed: listChipTyped(chip) }))}
        text={text}
        onText={setText}
        found={suggestions(text, keys, values)}
        onAdd={(words) => {
          const chip = parseListChip(words, keys);
          if (!chip) return;
          change((address) => {
            address.delete("q");
            if (!address.getAll("f").includes(listChipTyped(chip))) address.append("f", listChipTyped(chip));
          });
          setText("");
        }}
        onRemove={(id) => write(chips.filter((chip) => listChipTyped(chip) !== id))}
      />
    ),
    keep: (rows, fields) => keepFitting(rows, applied, fields),
    none: (shown) =>
      applied.length > 0 &&
      shown.length === 0 && (
        <Empty
          action={
            <button
              type="button"
              className="button"
              onClick={() => {
                setText("");
                change((address) => {
                  address.delete("q");
                  address.delete("f");
                });
              }}
            >
              Clear the filters
            </button>
          }
        >
          Nothing fits the filters.
        </Empty>
      ),
  };
}

/** `state:` without a value. */
const isHalfTyped = (text: string, keys: string[]) => keys.includes(/^\s*([\w-]+)\s*(!=|>=|<=|=|:|>|<|~)\s*$/.exec(text)?.[1]?.toLowerCase() ?? "");
