import { useState } from "react";
import type { Item, Queue } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { Ago } from "../../components/parts";
import { FilterBar } from "../../components/filter-bar";
import { Fresh } from "../../components/fresh";
import { useReading } from "../../components/reading";
import { suggestions } from "../../components/suggest";
import { type Column, Rows, useQuietRows, useSelection } from "../../components/rows";
import { Empty, More, View } from "../../components/view";
import { itemColumns } from "../item/item-columns";
import { useWhys } from "../item/whys";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";
import { Bulk } from "./item-bulk";
import { itemFilters, itemPart, useQueueItems } from "./queue-data";

const states: [string, string][] = [
  ["", "All"],
  ["queued", "Waiting"],
  ["leased,running", "Running"],
  ["finished", "Finished"],
  ["failed", "Failed"],
  ["stopped", "Stopped"],
];

/** How wide the columns are, in pixels, whatever their items do meanwhile; the cause has what is left. */
const widths: Record<string, number> = { State: 180, Place: 50, Starts: 70, Run: 105, Job: 130, By: 76, Waited: 80, Ran: 80, Agent: 66 };

/** The place of an item; behind very many the server counts no further. */
export const placeText = (why: NonNullable<Item["why"]>): string => (why.position ? `#${why.position.toLocaleString("en-US")}` : why.ahead > 0 ? `> ${why.ahead.toLocaleString("en-US")}` : "");

/** The items of a queue: live, filtered, several at once. The filter and the open item are in the address. */
export function QueueItems({ queue }: { queue: Queue }) {
  const [search, change] = useAddress();
  const state = search.get("state") ?? "";
  const author = search.get("author") ?? "";
  const job = search.get("job") ?? "";
  const open = search.get("item");
  const { items, parts, pages, view } = useQueueItems(queue.entity, queue.name, search);
  const { reading, ref: list, area, toTop } = useReading();
  const all = useWhys(items);
  const { rows, fresh, show: showFresh } = useQuietRows(all, (item) => item.id, reading && !open, `${state} ${author} ${job} ${pages}`);
  const selection = useSelection(rows.map((item) => item.id));
  const set = (key: string, value: string | null) => change((params) => put(params, key, value));
  const show = (id: string | null) => change((params) => putItem(params, id));
  const filtered = state !== "" || author !== "" || job !== "";
  const mayWait = itemPart("waiting", queue.entity, queue.name, search).asked;
  const position: Column<Item> = { name: "Place", num: true, wide: true, cell: (item) => (item.state === "queued" && item.why ? placeText(item.why) : "") };
  const starts: Column<Item> = { name: "Starts", wide: true, cell: (item) => (item.state === "queued" && item.why?.estimated_start ? <Ago time={item.why.estimated_start} /> : "") };
  const shown = [itemColumns.state, ...(mayWait ? [position, starts] : []), itemColumns.run, itemColumns.job, itemColumns.by, itemColumns.waited, itemColumns.ran, itemColumns.agent, itemColumns.cause];
  const columns = shown.map((column) => ({ ...column, ...(widths[column.name] === undefined ? {} : { width: widths[column.name]! }) }));

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
      <View query={view} height={280}>
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
              columns={columns}
              onOpen={(item) => show(item.id)}
              open={open}
              selection={selection}
            />
          </div>
        )}
      </View>
      {parts.map(({ part, query, shown }) => (
        <More key={part} shown={shown} what={`${part} items`} which={part} more={query.hasNextPage ? () => void query.fetchNextPage() : null} loading={query.isFetchingNextPage} />
      ))}
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
