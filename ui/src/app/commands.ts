/** The commands of the palette: those of the frame, and those that the open screen adds while it is open. */
import { useEffect, useSyncExternalStore } from "react";

export interface CommandEntry {
  name: string;
  /** What it is, and where: `Run · dev/digits`. */
  hint?: string;
  /** Other words that it is found by, as they are: ids. */
  also?: string[];
  /** How far it stands behind others that fit as well: there are many of its kind. */
  behind?: number;
  run: () => void;
}

let added: CommandEntry[][] = [];
let all: CommandEntry[] = [];
const watchers = new Set<() => void>();

function changed(next: CommandEntry[][]) {
  added = next;
  all = added.flat();
  watchers.forEach((watch) => watch());
}

/** Adds commands while the calling component is drawn. Memoize `entries`. */
export function useCommands(entries: CommandEntry[]) {
  useEffect(() => {
    changed([...added, entries]);
    return () => changed(added.filter((known) => known !== entries));
  }, [entries]);
}

export function useAllCommands(): CommandEntry[] {
  return useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => all,
  );
}

/** Ranks a name against what was typed: all letters in order, early and adjacent ones first. Null when it does not fit. */
export function rank(name: string, typed: string): number | null {
  const text = name.toLowerCase();
  const wanted = typed.toLowerCase().replaceAll(" ", "");
  if (wanted === "") return 0;
  const whole = text.indexOf(typed.toLowerCase());
  if (whole >= 0) return whole;
  let at = -1;
  let cost = 100;
  for (const letter of wanted) {
    const next = text.indexOf(letter, at + 1);
    if (next < 0) return null;
    cost += next - at - 1;
    at = next;
  }
  return cost;
}

/** What ids cost: a name comes first. */
const BY_ID = 50;

/** The entries that fit, the best first. */
export function fitting(entries: CommandEntry[], typed: string, most = Infinity): CommandEntry[] {
  const words = typed.trim().toLowerCase();
  const costOf = ({ name, also = [] }: CommandEntry) => rank(name, typed.trim()) ?? (also.some((word) => word.toLowerCase().includes(words)) ? BY_ID : null);
  return entries
    .flatMap((entry) => {
      const cost = costOf(entry);
      return cost === null ? [] : [{ entry, cost: cost + (entry.behind ?? 0) }];
    })
    .sort((a, b) => a.cost - b.cost)
    .slice(0, most)
    .map((one) => one.entry);
}
