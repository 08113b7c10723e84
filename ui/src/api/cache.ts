/** What was read from the server and is kept. One for the page, outside React: reading may begin before anything is drawn. */
import { notifyManager, QueryClient } from "@tanstack/react-query";
import { problemOf } from "./client";

// One answer may be the data of two hundred queries. Told one by one, ten charts are drawn in ten frames; told together, in
// one.
let waiting: (() => void)[] = [];
notifyManager.setScheduler((tell) => {
  waiting.push(tell);
  if (waiting.length > 1) return;
  setTimeout(() => {
    const now = waiting;
    waiting = [];
    now.forEach((one) => one());
  }, 0);
});

export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      // The server may be on this machine: whether there is an internet says nothing.
      networkMode: "always",
      // A refusal does not change by asking again; a lost connection does.
      retry: (failures, error) => failures < 2 && [0, 502, 503, 504].includes(problemOf(error).status),
      staleTime: 1_000,
    },
    mutations: { retry: false, networkMode: "always" },
  },
});
