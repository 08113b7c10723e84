/** What the Monitor tab asks for. */
import { queryOptions } from "@tanstack/react-query";
import { api, got } from "../../../api/client";
import { pollEvery } from "../../../api/live";
import type { AttemptSpan } from "../../../api/types";

/** Attempts that are drawn at most; a longer time has too many to tell apart. */
export const MOST_SPANS = 2_000;
const PAGE = 500;

export interface Window {
  since: string;
  until?: string;
}

/** A range that ends now moves on; one that somebody brushed stands still. */
const refetch = (window: Window) => (window.until ? false : () => Math.max(10_000, Number(pollEvery()) || 10_000)) as false | (() => number);

export const statsQuery = (entity: string, queue: string, window: Window, slices: number) =>
  queryOptions({
    queryKey: ["queue", entity, queue, "stats", window, slices],
    queryFn: async () => (await got(api.GET("/api/v1/entities/{entity}/queues/{queue}/stats", { params: { path: { entity, queue }, query: { ...window, slices } } }))).stats,
    refetchInterval: refetch(window),
  });

export const attemptsQuery = (entity: string, queue: string, window: Window) =>
  queryOptions({
    queryKey: ["queue", entity, queue, "attempts", window],
    queryFn: async () => {
      const spans: AttemptSpan[] = [];
      let after: string | undefined;
      do {
        const page = await got(api.GET("/api/v1/entities/{entity}/queues/{queue}/attempts", { params: { path: { entity, queue }, query: { ...window, limit: PAGE, ...(after ? { after } : {}) } } }));
        spans.push(...page.items);
        after = page.next ?? undefined;
      } while (after !== undefined && spans.length < MOST_SPANS);
      return { spans, more: after !== undefined };
    },
    refetchInterval: refetch(window),
  });

export const jobLoadQuery = (entity: string, queue: string, window: Window) =>
  queryOptions({
    queryKey: ["queue", entity, queue, "jobs", window],
    queryFn: async () => (await got(api.GET("/api/v1/entities/{entity}/queues/{queue}/jobs", { params: { path: { entity, queue }, query: window } }))).items,
  });
