import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, got, problemOf } from "../../api/client";
import { isEnded } from "../../api/queries";
import type { Item } from "../../api/types";
import { each, type Tried, tryEach } from "../../app/each";
import { useMay, useMe } from "../../app/scope";
import { say } from "../../components/notice";
import { Confirm } from "../../components/parts";
import { count } from "../../format/text";

type Verb = "stop" | "retry";
const words: Record<Verb, { now: string; done: string }> = { stop: { now: "Stopping", done: "stopped" }, retry: { now: "Retrying", done: "launched again" } };

const request = async (verb: Verb, id: string) =>
  got(verb === "stop" ? api.POST("/api/v1/items/{id}/stop", { params: { path: { id } }, body: {} }) : api.POST("/api/v1/items/{id}/retry", { params: { path: { id } }, body: {} }));

/** What became of many: how many, and why the others not, the most frequent reason first. */
export function outcome(verb: Verb, { done, refused }: Tried<Item>): string {
  const of = done.length + refused.length;
  const result = `${refused.length > 0 ? `${done.length.toLocaleString("en-US")} of ` : ""}${count(of, "item")} ${words[verb].done}.`;
  if (refused.length === 0) return result;
  // The same reason for each names another item: what is said of one stands for those with its code.
  const reasons = new Map<string, { message: string; times: number }>();
  for (const { error } of refused) {
    const { code, message } = problemOf(error);
    const known = reasons.get(code);
    if (known) known.times++;
    else reasons.set(code, { message, times: 1 });
  }
  const [first, ...others] = [...reasons.values()].sort((a, b) => b.times - a.times);
  const more = others.length > 0 ? ` (${first!.times.toLocaleString("en-US")}; ${count(others.length, "other reason")} for the rest)` : "";
  return `${result} The others were not: ${first!.message.replace(/\.$/, "")}${more}.`;
}

/** Stops or retries what is selected, after saying how many it hits; a few at a time, and says how far it is. */
export function Bulk({ items, entity, onDone }: { items: Item[]; entity: string; onDone: () => void }) {
  const queries = useQueryClient();
  const me = useMe();
  const may = useMay(entity, "member");
  const isAdmin = useMay(entity, "admin");
  const [asking, setAsking] = useState(false);
  const [progress, setProgress] = useState<{ verb: Verb; tried: number; of: number } | null>(null);
  const [refused, setRefused] = useState<string | null>(null);
  // Those of others are stopped by admins alone.
  const live = items.filter((item) => !isEnded(item.state) && (isAdmin || item.author === me.username));
  const over = items.filter((item) => isEnded(item.state));
  const refresh = async () => queries.invalidateQueries({ queryKey: ["items"] });
  const act = useMutation({
    mutationFn: async (verb: Verb) => {
      const chosen = verb === "stop" ? live : over;
      setRefused(null);
      setProgress({ verb, tried: 0, of: chosen.length });
      // What ran has lost what it did; what only waited ended at once, and can be put back.
      const waited: Item[] = [];
      const tried = await tryEach(
        chosen,
        async (item) => {
          const answer = await request(verb, item.id);
          if (verb === "stop" && answer.item.state === "stopped") waited.push(item);
        },
        (n) => setProgress({ verb, tried: n, of: chosen.length }),
      );
      const undo = async () => {
        await each(waited, async ({ id }) => request("retry", id));
        await refresh();
      };
      const text = outcome(verb, tried);
      if (tried.refused.length > 0) setRefused(text);
      if (waited.length > 0) say(waited.length === tried.done.length ? text : `${text} ${count(waited.length, "of them", "of them")} only waited and can be put back.`, undo);
      else if (verb === "stop" && tried.done.length > 0) say(text);
    },
    onSuccess: onDone,
    onSettled: async () => {
      setProgress(null);
      await refresh();
    },
  });
  if (!may) return null;
  return (
    <>
      {refused && (
        <div className="banner" data-tone="red" role="alert">
          <span>{refused}</span>
          <button type="button" className="button" onClick={() => setRefused(null)}>
            Dismiss
          </button>
        </div>
      )}
      {progress && (
        <span role="status" className="quiet num">
          {words[progress.verb].now} {progress.tried.toLocaleString("en-US")} of {count(progress.of, "item")}…
        </span>
      )}
      {!progress && live.length > 0 && (
        <button type="button" className="button danger" onClick={() => setAsking(true)}>
          Stop {count(live.length, "item")}
        </button>
      )}
      {!progress && over.length > 0 && (
        <button type="button" className="button" onClick={() => act.mutate("retry")}>
          Retry {count(over.length, "item")}
        </button>
      )}
      {asking && (
        <Confirm title="Stop these items?" action={`Stop ${count(live.length, "item")}`} onYes={() => act.mutate("stop")} onClose={() => setAsking(false)}>
          <p>
            {count(live.filter((item) => item.state === "running").length, "running item")} and {count(live.filter((item) => item.state !== "running").length, "waiting item")} end.
          </p>
        </Confirm>
      )}
    </>
  );
}
