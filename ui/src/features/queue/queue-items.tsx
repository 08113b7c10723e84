import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import { isEnded } from "../../api/queries";
import type { Item, Queue } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMay, useMe } from "../../app/scope";
import { Ago, Confirm } from "../../components/parts";
import { say } from "../../components/notice";
import { FilterBar } from "../../components/filter-bar";
import { Fresh } from "../../components/fresh";
import { useReading } from "../../components/reading";
import { suggestions } from "../../components/suggest";
import { type Column, Rows, useQuietRows, useSelection } from "../../components/rows";
import { Empty, Failure, More, View } from "../../components/view";
import { each } from "../../app/each";
import { count } from "../../format/text";
import { itemColumns } from "../item/item-columns";
import { useWhys } from "../item/whys";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";
import { itemFilters, queueItemsQuery } from "./queue-data";

const states: [string, string][] = [
  ["", "All"],
  ["queued", "Waiting"],
  ["leased,running", "Running"],
  ["finished", "Finished"],
  ["failed", "Failed"],
  ["stopped", "Stopped"],
];

const priorities = ["critical", "high", "medium", "low"];

/** The order one reads them in: what waits by its place, then what runs, then what ended. */
export function inOrder(items: Item[]): Item[] {
  const group = (item: Item) => (item.state === "queued" ? 0 : isEnded(item.state) ? 2 : 1);
  const rank = (item: Item) => priorities.indexOf(item.priority);
  const place = (item: Item) => item.why?.position ?? null;
  const waiting = (a: Item, b: Item) => {
    const [first, second] = [place(a), place(b)];
    if (first !== null && second !== null) return first - second;
    // Lists say no place: by priority and age, as the server hands items out.
    return rank(a) - rank(b) || (a.created_at < b.created_at ? -1 : 1);
  };
  return [...items].sort((a, b) => group(a) - group(b) || (group(a) === 0 ? waiting(a, b) : a.created_at < b.created_at ? 1 : -1));
}

/** The items of a queue: live, filtered, several at once. The filter and the open item are in the address. */
export function QueueItems({ queue }: { queue: Queue }) {
  const [search, change] = useAddress();
  const state = search.get("state") ?? "";
  const author = search.get("author") ?? "";
  const job = search.get("job") ?? "";
  const open = search.get("item");
  const items = useInfiniteQuery(queueItemsQuery(queue.entity, queue.name, search));
  const { reading, ref: list, area, toTop } = useReading();
  const all = useWhys(inOrder(items.data?.pages.flatMap((page) => page.items) ?? []));
  const { rows, fresh, show: showFresh } = useQuietRows(all, (item) => item.id, reading && !open, `${state} ${author} ${job} ${items.data?.pages.length ?? 0}`);
  const selection = useSelection(rows.map((item) => item.id));
  const set = (key: string, value: string | null) => change((params) => put(params, key, value));
  const show = (id: string | null) => change((params) => putItem(params, id));
  const filtered = state !== "" || author !== "" || job !== "";
  const position: Column<Item> = { name: "Place", num: true, wide: true, cell: (item) => (item.state === "queued" && item.why?.position ? `#${item.why.position}` : "") };
  const starts: Column<Item> = { name: "Starts", wide: true, cell: (item) => (item.state === "queued" && item.why?.estimated_start ? <Ago time={item.why.estimated_start} /> : "") };

  return (
    <>
      <div className="row wrap">
        <select className="select" style={{ width: 130 }} aria-label="State" value={state} onChange={(event) => set("state", event.target.value)}>
          {states.map(([value, word]) => (
            <option key={word} value={value}>
              {word}
            </option>
          ))}
        </select>
        <ItemFilter author={author} job={job} items={all} set={set} />
        {filtered && (
          <button type="button" className="link" onClick={() => change((params) => itemFilters.forEach((key) => params.delete(key)))}>
            Clear filters
          </button>
        )}
        <span className="grow" />
        <Bulk items={rows.filter((item) => selection.chosen.has(item.id))} entity={queue.entity} onDone={selection.none} />
      </div>
      <View query={items} height={280}>
        {() => (
          <div ref={list} {...area}>
            <Fresh
              fresh={fresh}
              onShow={() => {
                showFresh();
                toTop();
              }}
            />
            <Rows<Item>
              name="Items"
              empty={<Empty>{filtered ? "No item fits the filters." : "Nothing was launched on this queue yet."}</Empty>}
              rows={rows}
              id={(item) => item.id}
              columns={[itemColumns.state, ...[position, starts].filter((column) => rows.some((item) => column.cell(item) !== "")), itemColumns.run, itemColumns.job, itemColumns.by, itemColumns.waited, itemColumns.ran, itemColumns.agent, itemColumns.cause]}
              onOpen={(item) => show(item.id)}
              open={open}
              selection={selection}
            />
          </div>
        )}
      </View>
      <More shown={all.length} what="items" more={items.hasNextPage ? () => void items.fetchNextPage() : null} loading={items.isFetchingNextPage} />
      {open && <ItemDrawer id={open} ids={rows.map((item) => item.id)} onShow={show} />}
    </>
  );
}

const filterKeys = ["author", "job"] as const;

/** Author and job as chips, one of each: the server filters by them. What is typed without a key is a job. */
function ItemFilter({ author, job, items, set }: { author: string; job: string; items: Item[]; set: (key: "author" | "job", value: string | null) => void }) {
  const [text, setText] = useState("");
  const values = { author: [...new Set(items.map((item) => item.author))], job: [...new Set(items.flatMap((item) => item.job?.replace(/:v\d+$/, "") ?? []))] };
  const chips = filterKeys.flatMap((key) => {
    const value = key === "author" ? author : job;
    return value ? [{ id: key, shown: `${key} = ${value}`, typed: `${key}:${value}` }] : [];
  });
  return (
    <FilterBar
      chips={chips}
      text={text}
      onText={setText}
      found={suggestions(text, [...filterKeys], values)}
      placeholder="+ filter: author:…, job:…"
      onAdd={(typed) => {
        const found = /^\s*(author|job)\s*[:=]\s*(.+?)\s*$/.exec(typed);
        const value = found?.[2] ?? typed.trim();
        if (value === "") return;
        set(found?.[1] === "author" ? "author" : "job", value);
        setText("");
      }}
      onRemove={(key) => set(key === "author" ? "author" : "job", null)}
    />
  );
}

/** Stops or retries what is selected, after saying how many it hits. */
function Bulk({ items, entity, onDone }: { items: Item[]; entity: string; onDone: () => void }) {
  const queries = useQueryClient();
  const me = useMe();
  const may = useMay(entity, "member");
  const isAdmin = useMay(entity, "admin");
  const [asking, setAsking] = useState(false);
  // Those of others are stopped by admins alone.
  const live = items.filter((item) => !isEnded(item.state) && (isAdmin || item.author === me.username));
  const over = items.filter((item) => isEnded(item.state));
  const act = useMutation({
    mutationFn: async (verb: "stop" | "retry") => {
      const chosen = verb === "stop" ? live : over;
      const results = await Promise.allSettled(
        chosen.map(async ({ id }) =>
          verb === "stop" ? api.POST("/api/v1/items/{id}/stop", { params: { path: { id } }, body: {} }) : api.POST("/api/v1/items/{id}/retry", { params: { path: { id } }, body: {} }),
        ),
      );
      const refused = results.find((result) => result.status === "rejected");
      if (refused) throw refused.reason;
      // What ran has lost what it did; what only waited can be put back.
      const waited = chosen.filter((item) => item.state === "queued");
      if (verb === "stop")
        say(`Stopped ${count(chosen.length, "item")}.`, waited.length === chosen.length ? async () => {
          await each(waited, async ({ id }) => api.POST("/api/v1/items/{id}/retry", { params: { path: { id } }, body: {} }));
          await queries.invalidateQueries({ queryKey: ["items"] });
        } : null);
    },
    onSuccess: onDone,
    onSettled: () => queries.invalidateQueries({ queryKey: ["items"] }),
  });
  if (!may) return null;
  return (
    <>
      {act.isError && <Failure error={act.error} />}
      {live.length > 0 && (
        <button type="button" className="button danger" onClick={() => setAsking(true)}>
          Stop {count(live.length, "item")}
        </button>
      )}
      {over.length > 0 && (
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
