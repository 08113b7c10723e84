/** Whether the session ended while the app was open, for what is drawn of a page that stays. The session's boundary says it. */
import { useSyncExternalStore } from "react";

let ended = false;
const watchers = new Set<() => void>();

export function tellSession(isEnded: boolean) {
  if (ended === isEnded) return;
  ended = isEnded;
  watchers.forEach((watch) => watch());
}

export const useSessionEnded = (): boolean =>
  useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => ended,
  );
