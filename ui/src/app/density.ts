/** How high rows of tables are: a choice of this browser. */
import { useSyncExternalStore } from "react";

export type Density = "roomy" | "compact";

const key = "lanza.rows";
const watchers = new Set<() => void>();

const chosen = (): Density => (globalThis.localStorage?.getItem(key) === "compact" ? "compact" : "roomy");

/** Draws the page with the chosen rows. */
export function applyDensity() {
  document.documentElement.dataset.rows = chosen();
  watchers.forEach((watch) => watch());
}

export function setDensity(density: Density) {
  localStorage.setItem(key, density);
  applyDensity();
}

export const useDensity = () =>
  useSyncExternalStore((watch) => {
    watchers.add(watch);
    return () => watchers.delete(watch);
  }, chosen);

/** Pixels of a row, as `--row` of the styles has them: who lays out rows that are not there yet needs the number. */
export const rowHeight = (density: Density) => (density === "compact" ? 26 : 32);
