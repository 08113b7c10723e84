/** What was read from the server and is kept. One for the page, outside React: reading may begin before anything is drawn. */
import { MutationCache, notifyManager, QueryCache, QueryClient } from "@tanstack/react-query";
import { problemOf } from "./client";

/** What comes when the server is not there: nothing, or the word of a proxy. */
const AWAY = [0, 502, 503, 504];

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

/** What a refusal says of more than what was asked: who is signed out in one list is so everywhere, and who does not reach the
    server for one list reaches it for none. */
function hear(error: unknown, family?: unknown) {
  const { status } = problemOf(error);
  const told = status === 401 ? "me" : AWAY.includes(status) ? "ready" : null;
  // One that is on its way answers it.
  if (told !== null && told !== family) void cache.invalidateQueries({ queryKey: [told] }, { cancelRefetch: false });
}

export const cache: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error, query) => hear(error, query.queryKey[0]) }),
  mutationCache: new MutationCache({ onError: (error) => hear(error) }),
  defaultOptions: {
    queries: {
      // The server may be on this machine: whether there is an internet says nothing.
      networkMode: "always",
      // A refusal does not change by asking again; a lost connection does.
      retry: (failures, error) => failures < 2 && AWAY.includes(problemOf(error).status),
      staleTime: 1_000,
    },
    mutations: { retry: false, networkMode: "always" },
  },
});
