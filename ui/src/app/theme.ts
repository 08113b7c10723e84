/** Appearance: light, dark, or as the system says. */
import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark" | "system";

const key = "lanza.theme";
const system = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
const watchers = new Set<() => void>();

function stored(): Theme {
  const text = globalThis.localStorage?.getItem(key);
  return text === "light" || text === "dark" ? text : "system";
}

/** Draws the page in the chosen theme. */
export function applyTheme() {
  const theme = stored();
  document.documentElement.dataset.theme = theme === "system" ? (system?.matches ? "dark" : "light") : theme;
  watchers.forEach((watch) => watch());
}

export function setTheme(theme: Theme) {
  localStorage.setItem(key, theme);
  applyTheme();
}

system?.addEventListener?.("change", applyTheme);

function watch(run: () => void) {
  watchers.add(run);
  return () => watchers.delete(run);
}

/** The choice. */
export const useTheme = () => useSyncExternalStore(watch, stored);
/** What is drawn: charts draw on canvas and need to know. */
export const useDrawnTheme = () => useSyncExternalStore(watch, () => document.documentElement.dataset.theme ?? "light");
