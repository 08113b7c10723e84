/** Begins a screen before it is drawn: its part of the app and what it asks the server, side by side instead of one after
    the other. Called for the first address, and for a link that somebody points at. */
import { matchRoutes } from "react-router";
import { cache } from "../api/cache";
import { meQuery } from "../api/queries";
import { screens } from "./screens";

/** First parts of addresses that the server answers itself: files, help pages. They look like those of projects. */
const served = new Set(["api", "storage", "files", "errors", "artifacts", "artifactsV2", "graphql", "metrics", "assets"]);

/** What is pointed at for so long, in milliseconds, will probably be opened. */
const INTENT = 70;

export function ahead(address: string) {
  const url = new URL(address, location.origin);
  // Who is not signed in would be refused everything.
  if (url.origin !== location.origin || url.pathname === "/login" || served.has(url.pathname.split("/")[1] ?? "")) return;
  const found = matchRoutes(screens, url.pathname)?.at(-1);
  if (!found) return;
  void cache.prefetchQuery(meQuery);
  // The router says it when a part cannot be loaded, the screen when it is refused something.
  found.route.load().catch(() => undefined);
  found.route.ahead?.(found.params, url.searchParams).catch(() => undefined);
}

/** Watches what is pointed at. Returns what ends that. */
export function watchLinks(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onOver = (event: Event) => {
    clearTimeout(timer);
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[href^='/']") : null;
    if (link && !link.download) timer = setTimeout(() => ahead(link.href), INTENT);
  };
  document.addEventListener("pointerover", onOver, { passive: true });
  document.addEventListener("focusin", onOver);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("pointerover", onOver);
    document.removeEventListener("focusin", onOver);
  };
}
