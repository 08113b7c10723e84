import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { pollEvery, useRunChanges } from "../../api/live";
import { firstRunsQuery, runKeysQuery, wholeRunsQuery } from "../../api/queries";
import type { Run } from "../../api/types";
import { type ChangeAddress, idsText, put, useAddress } from "../../app/address";
import type { ChartRun } from "../../components/chart";
import { ChartWall } from "../../components/chart-wall";
import { colourOf } from "../../components/plot";
import { Fresh } from "../../components/fresh";
import { useReading } from "../../components/reading";
import { useQuietRows } from "../../components/rows";
import { Split } from "../../components/split";
import { Empty, Loading, View } from "../../components/view";
import { count } from "../../format/text";
import { RunDrawer } from "../run/run-drawer";
import { streamKeysQuery } from "../run/stream-keys";
import { FilterBar } from "./filter-bar";
import { Bulk } from "./run-bulk";
import { ColumnPicker, defaultColumns, tellingKeys } from "./run-columns";
import { type Chip, chipKey, chipsFrom, ownKeys, quotedValue } from "./run-filter";
import { Groups } from "./run-groups";
import { layoutOf, type RunLayout, writeLayout } from "./run-layout";
import { chartKeys, nestedRun, type ProjectKeys, projectKeys } from "./run-keys";
import { asksOf, DRAWN, rememberAsked, rowsQuery, type ScatterKeys, scatterOf, whichOf } from "./runs-data";
import { RunsTable } from "./runs-table";
import { Scatter } from "./scatter";

/** Selected runs outside of the loaded rows that are read. */
const FURTHER = 100;

/** How long rows wait for the keys of their columns, in milliseconds. */
const PATIENCE = 150;

function useLate(waiting: boolean): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!waiting) return;
    const timer = setTimeout(() => setLate(true), PATIENCE);
    return () => clearTimeout(timer);
  }, [waiting]);
  return late && waiting;
}

/** Ids under a key of the address: what is hidden, what is selected. A choice that is longer than an address is kept in the
    page, while the address has its beginning; `linked` says how many a link holds. */
function useIds(key: string, params: URLSearchParams, set: ChangeAddress) {
  const text = params.get(key) ?? "";
  const [whole, setWhole] = useState<{ text: string; ids: Set<string> } | null>(null);
  const linked = useMemo(() => new Set(text.split(",").filter(Boolean)), [text]);
  const ids = whole?.text === text ? whole.ids : linked;
  const change = (next: Set<string>) => {
    const part = idsText(next);
    setWhole({ text: part, ids: next });
    set((address) => put(address, key, part), { replace: true });
  };
  return { ids, linked: linked.size, change, toggle: (id: string) => change(ids.has(id) ? new Set([...ids].filter((one) => one !== id)) : new Set([...ids, id])) };
}

/** The runs of a project beside their charts. Filters, order, columns, choice and look are in the address. */
export function Runs({ entity, project }: { entity: string; project: string }) {
  const [search, set] = useAddress();
  useRunChanges(entity, project);
  const chips = chipsFrom(search.getAll("f"));
  const which = whichOf(search);
  const layout = layoutOf(search);
  const setLayout = (change: Partial<RunLayout>) => set((params) => writeLayout(params, change), { replace: true });
  const keyList = useQuery(runKeysQuery(entity, project));
  const keys = useMemo(() => projectKeys(keyList.data ?? []), [keyList.data]);
  // After its start a server reads every document for the keys: rows come without metrics until then.
  const late = useLate(keyList.isPending);
  const known = keyList.isPending ? null : keys;
  const asked = asksOf(`${entity}/${project}`, search, known);
  useEffect(() => {
    if (known && known.all.length > 0) rememberAsked(`${entity}/${project}`, known);
  }, [entity, project, known]);
  const query = useInfiniteQuery({
    ...rowsQuery(entity, project, search, asked ?? []),
    enabled: asked !== null || late,
    placeholderData: keepPreviousData,
    refetchInterval: (state) => (state.state.data?.pages.length === 1 ? pollEvery() : false),
  });
  const all = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const { reading, ref: list, area, toTop } = useReading();
  const { rows: runs, fresh, show } = useQuietRows(all, (run) => run.id, reading, `${which.order} ${which.filter ?? ""} ${query.data?.pages.length ?? 0} ${query.isPlaceholderData}`);
  const hidden = useIds("hide", search, set);
  const picked = useIds("pick", search, set);
  const charts = search.get("view") !== "table";
  const setChips = (next: Chip[]) =>
    set((params) => {
      params.delete("f");
      next.forEach((chip) => params.append("f", chipKey(chip)));
    });
  const chosen = useMemo(() => new Set(runs.filter((run) => picked.ids.has(run.id)).map((run) => run.id)), [runs, picked.ids]);
  const columnKeys = layout.columns ?? defaultColumns(runs, keys);
  const hints = useMemo(() => suggested(runs, keys), [runs, keys]);
  // A link may select runs that are further down than what is loaded.
  const missing = useMemo(() => {
    const loaded = new Set(all.map((run) => run.id));
    return query.data ? [...picked.ids].filter((id) => !loaded.has(id)).slice(0, FURTHER).sort() : [];
  }, [all, picked.ids, query.data]);
  const further = useQuery({ ...wholeRunsQuery(entity, project, missing, which.filter), enabled: missing.length > 0, placeholderData: keepPreviousData });
  const selected = [...runs.filter((run) => chosen.has(run.id)), ...(missing.length > 0 ? (further.data ?? []).filter((run) => missing.includes(run.id)) : [])];
  const open = search.get("run");
  const showRun = (id: string | null) =>
    set((params) => {
      put(params, "run", id);
      params.delete("launch");
    });
  const by = search.get("group")?.split(",").filter(Boolean) ?? [];

  const more = query.hasNextPage && !query.isFetchingNextPage ? () => void query.fetchNextPage() : null;
  const table = by.length > 0 ? (
    <div className="groups-box">
      <Groups
        entity={entity}
        project={project}
        by={by}
        metrics={columnKeys.filter((key) => key.startsWith("summary.")).slice(0, 6)}
        filter={which.filter}
        onOpen={(more) =>
          set((params) => {
            params.delete("group");
            more.forEach((chip) => params.append("f", chipKey(chip)));
          })
        }
      />
    </div>
  ) : (
    <>
      {/* Rows hold still while somebody reads them. */}
      <div style={{ display: "contents" }} ref={list} {...area}>
        <Fresh
          fresh={fresh}
          onShow={() => {
            show();
            toTop();
          }}
        />
        <RunsTable
          runs={runs}
          keys={columnKeys}
          layout={layout}
          onLayout={setLayout}
          order={which.order}
          onOrder={(next) => set((params) => params.set("order", next))}
          hidden={hidden.ids}
          onHide={hidden.toggle}
          open={open}
          onOpen={showRun}
          picked={picked.ids}
          onPick={picked.change}
          onTag={(tag) => {
            const chip: Chip = { key: "tags", operator: "=", value: quotedValue(tag) };
            setChips([...chips.filter((one) => chipKey(one) !== chipKey(chip)), chip]);
          }}
          more={more}
          busy={query.isFetchingNextPage}
        />
      </div>
      <span className="quiet small row" role="status">
        {count(runs.length, "run")}
        {query.hasNextPage ? ", more when you scroll" : ""}
        {selected.length > 0 ? ` · ${selected.length} selected` : ""}
        {picked.ids.size > 0 && (
          <button type="button" className="link" onClick={() => picked.change(new Set())}>
            select none
          </button>
        )}
        {picked.linked < picked.ids.size ? `, a link holds the first ${picked.linked}` : ""}
        {hidden.ids.size > 0 && (
          <button type="button" className="link" onClick={() => hidden.change(new Set())}>
            show {hidden.ids.size} hidden
          </button>
        )}
      </span>
    </>
  );

  return (
    <>
      <div className="row wrap">
        <FilterBar chips={chips} onChips={setChips} keys={hints.keys} values={hints.values} />
        <span className="grow" />
        <GroupBy by={by} keys={hints.settings} onBy={(next) => set((params) => put(params, "group", next.join(",")))} />
        <Bulk runs={selected} entity={entity} onDone={() => picked.change(new Set())} />
        <ColumnPicker
          keys={keys.all}
          chosen={columnKeys}
          pinned={layout.pinned}
          onLayout={setLayout}
          onReset={["columns", "widths", "pinned"].some((key) => search.has(key)) ? () => setLayout({ columns: null, widths: {}, pinned: [] }) : null}
        />
        <button type="button" className="button" aria-pressed={charts} onClick={() => set((params) => put(params, "view", charts ? "table" : null))}>
          Charts
        </button>
      </div>
      {/* Columns come from the keys: a table that is drawn before them would jump. */}
      {known === null && !late ? (
        <Loading height={320} />
      ) : (
        <View query={query} height={320} empty={() => (all.length === 0 ? <NoRuns filtered={chips.length > 0} onClear={() => setChips([])} entity={entity} project={project} /> : null)}>
          {() => (charts ? <Split name="runs" left={table} right={<RunCharts runs={selected.length > 0 ? selected : runs} picked={selected.length > 0} hidden={hidden.ids} keys={keys} scope={{ entity, project }} partial={selected.length === 0 && query.hasNextPage} more={more} />} /> : <div className="pane-alone">{table}</div>)}
        </View>
      )}
      {open && <RunDrawer name={{ entity, project, run: open }} id={open} ids={runs.map((run) => run.id)} onShow={showRun} />}
    </>
  );
}

/** What runs are put together by: one setting, or two. */
function GroupBy({ by, keys, onBy }: { by: string[]; keys: string[]; onBy: (next: string[]) => void }) {
  const choose = (index: number, label: string) => (
    <select className="select" style={{ width: 150 }} aria-label={label} value={by[index] ?? ""} onChange={(event) => onBy([...by.slice(0, index), event.target.value].filter(Boolean))}>
      <option value="">{index === 0 ? "No groups" : "then by…"}</option>
      {[...new Set([...by.slice(index, index + 1), ...keys])]
        .filter((key) => !by.slice(0, index).includes(key))
        .map((key) => (
          <option key={key}>{key}</option>
        ))}
    </select>
  );
  return (
    <>
      {choose(0, "Group by")}
      {by.length > 0 && choose(1, "Then group by")}
    </>
  );
}

function NoRuns({ filtered, onClear, entity, project }: { filtered: boolean; onClear: () => void; entity: string; project: string }) {
  if (!filtered)
    return (
      <Empty>
        This project has no run yet.{" "}
        <span>
          <code>
            wandb.init(entity=&quot;{entity}&quot;, project=&quot;{project}&quot;)
          </code>{" "}
          makes one.
        </span>
      </Empty>
    );
  return (
    <Empty
      action={
        <button type="button" className="button" onClick={onClear}>
          Clear the filters
        </button>
      }
    >
      No run fits the filters.
    </Empty>
  );
}

/** What the filter field suggests: keys of the loaded runs, and values of their words. */
function suggested(runs: Run[], keys: ProjectKeys): { settings: string[]; keys: string[]; values: Record<string, string[]> } {
  const words = (read: (run: Run) => (string | null | undefined)[]) => [...new Set(runs.flatMap(read))].filter((word): word is string => Boolean(word));
  return {
    settings: ["group", "job_type", "author", "state", ...keys.settings.slice(0, 200)],
    keys: [...ownKeys, ...keys.all],
    values: {
      state: ["running", "finished", "failed", "crashed", "killed"],
      tags: words((run) => run.tags),
      author: words((run) => [run.author]),
      group: words((run) => [run.group]),
      job_type: words((run) => [run.job_type]),
      host: words((run) => [run.host]),
    },
  };
}

/** The charts of the selected runs, or of the first of the list, and the scatter. */
function RunCharts({ runs, picked, hidden, keys, scope, partial, more }: { runs: Run[]; picked: boolean; hidden: Set<string>; keys: ProjectKeys; scope: { entity: string; project: string }; partial: boolean; more: (() => void) | null }) {
  const [search, change] = useAddress();
  const shown = runs.filter((run) => !hidden.has(run.id));
  const drawn = shown.slice(0, DRAWN);
  const drawnKey = drawn.map((run) => `${run.id} ${run.state} ${run.name}`).join();
  const lines = useMemo<ChartRun[]>(
    () => drawn.map((run) => ({ entity: run.entity, project: run.project, id: run.id, state: run.state, label: run.name, ...colourOf(run.number) })),
    // The key names what the lines are made of.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [drawnKey],
  );
  // The rows have the columns' keys only; those of the charts are in the whole runs.
  const ids = drawn.map((run) => run.id).sort();
  // Without a choice they are the first of the list, which needs not wait for the rows.
  const isFirst = !picked && hidden.size === 0;
  const first = useQuery({ ...firstRunsQuery(scope.entity, scope.project, whichOf(search), DRAWN), enabled: isFirst, placeholderData: keepPreviousData });
  const some = useQuery({ ...wholeRunsQuery(scope.entity, scope.project, ids), enabled: !isFirst && ids.length > 0, placeholderData: keepPreviousData });
  const whole = isFirst ? first : some;
  // What one run logs in dictionaries the others log, too.
  const nested = nestedRun(whole.data ?? []);
  const logged = useQuery({ ...streamKeysQuery(nested ?? { ...scope, id: "", state: "finished" }, "history"), enabled: nested !== undefined, staleTime: 60_000, refetchInterval: false });
  const metrics = useMemo(() => chartKeys(whole.data ?? [], logged.data), [whole.data, logged.data]);
  const scatter = scatterOf(search);
  const write = (keys: ScatterKeys | null) =>
    change(
      (params) => {
        put(params, "sx", keys?.x ?? null);
        put(params, "sy", keys?.y ?? null);
        put(params, "slog", keys ? `${keys.logX ? "x" : ""}${keys.logY ? "y" : ""}` : null);
      },
      { replace: true },
    );
  const settings = [...new Set([...tellingKeys(shown.slice(0, 100)).map((key) => `config.${key}`), ...keys.settings])].slice(0, 300);
  const results = keys.metrics.slice(0, 300);
  return (
    <section aria-label="Charts" className="charts-pane">
      {shown.length > DRAWN && (
        <p className="quiet small">
          The first {DRAWN} {picked ? "selected " : ""}runs are drawn.
        </p>
      )}
      {lines.length === 0 ? (
        <Empty>All runs are hidden.</Empty>
      ) : whole.isPending ? (
        <Loading height={320} />
      ) : (
        <ChartWall
          keys={metrics}
          runs={lines}
          tool={
            results.length > 0 && (
              <button type="button" className="button" aria-pressed={scatter !== null} onClick={() => write(scatter ? null : { x: settings[0] ?? results[0]!, y: results[0]!, logX: false, logY: false })}>
                Scatter
              </button>
            )
          }
          first={scatter && <Scatter runs={shown} keys={scatter} choices={[...settings, ...results]} onKeys={write} onClose={() => write(null)} partial={partial} more={more} />}
        />
      )}
    </section>
  );
}
