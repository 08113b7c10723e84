import { keepPreviousData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { DropdownMenu } from "radix-ui";
import { useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { api } from "../../api/client";
import { pollEvery } from "../../api/live";
import { isEnded, runsQuery } from "../../api/queries";
import type { Run } from "../../api/types";
import { useMay } from "../../app/scope";
import type { ChartRun } from "../../components/chart";
import { ChartWall } from "../../components/chart-wall";
import { Confirm, Dialog, Field } from "../../components/parts";
import { colourOf } from "../../components/plot";
import { useSelection } from "../../components/rows";
import { Empty, Failure, View } from "../../components/view";
import { count } from "../../format/text";
import { leaves } from "../launch/inputs";
import { type Chip, chipKey, chipsFrom, chipText, filterOf, parseChip } from "./run-filter";
import { columnOf, RunsTable } from "./runs-table";

/** Runs whose lines are drawn at most. */
const DRAWN = 20;

/** The numbers that runs logged, as their summaries name them. */
export function metricKeys(runs: Pick<Run, "summary">[]): string[] {
  const keys = new Set<string>();
  for (const run of runs) for (const [key, value] of Object.entries(run.summary)) if (!key.startsWith("_") && (typeof value === "number" || value === "NaN" || value === "Infinity")) keys.add(key);
  return [...keys];
}

/** The runs of a project beside their charts. Filters, order and columns are in the address. */
export function Runs({ entity, project }: { entity: string; project: string }) {
  const [search, setSearch] = useSearchParams();
  const chips = chipsFrom(search.getAll("f"));
  const order = search.get("order") ?? "-created_at";
  const filter = filterOf(chips);
  const query = useInfiniteQuery({
    ...runsQuery(entity, project, { order, ...(filter ? { filter } : {}) }),
    placeholderData: keepPreviousData,
    refetchInterval: (state) => (state.state.data?.pages.length === 1 ? pollEvery() : false),
  });
  const runs = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const [charts, setCharts] = useState(true);
  const selection = useSelection(runs.map((run) => run.id));
  const scope = `${entity}/${project}`;

  // Selected runs are drawn; without a selection the first of the list.
  const pool = selection.chosen.size > 0 ? runs.filter((run) => selection.chosen.has(run.id)) : runs;
  const drawn = pool.filter((run) => !hidden.has(run.id)).slice(0, DRAWN);
  const drawnKey = drawn.map((run) => `${run.id} ${run.state}`).join();
  const lines = useMemo<ChartRun[]>(
    () => drawn.map((run) => ({ entity: run.entity, project: run.project, id: run.id, state: run.state, label: run.name, ...colourOf(scope, run.id) })),
    // The key names what the lines are made of.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [drawnKey, scope],
  );
  const keys = metricKeys(drawn);

  const columnKeys = search.get("columns")?.split(",").filter(Boolean) ?? defaultColumns(runs);
  const set = (change: (next: URLSearchParams) => void) =>
    setSearch((before) => {
      const next = new URLSearchParams(before);
      change(next);
      return next;
    });
  const setChips = (next: Chip[]) =>
    set((params) => {
      params.delete("f");
      next.forEach((chip) => params.append("f", chipKey(chip)));
    });
  const toggleHidden = (id: string) => setHidden((before) => (before.has(id) ? new Set([...before].filter((one) => one !== id)) : new Set([...before, id])));

  return (
    <>
      <div className="row wrap">
        {chips.map((chip) => (
          <span key={chipKey(chip)} className="chip">
            {chipText(chip)}
            <button type="button" aria-label={`Remove the filter ${chipText(chip)}`} onClick={() => setChips(chips.filter((one) => one !== chip))}>
              ✕
            </button>
          </span>
        ))}
        <AddFilter onAdd={(chip) => setChips([...chips, chip])} />
        <span className="grow" />
        <Bulk runs={runs.filter((run) => selection.chosen.has(run.id))} entity={entity} onDone={selection.none} />
        <Columns runs={runs} chosen={columnKeys} onChoose={(next) => set((params) => params.set("columns", next.join(",")))} />
        <button type="button" className="button" aria-pressed={charts} onClick={() => setCharts(!charts)}>
          Charts
        </button>
      </div>
      <View
        query={query}
        height={320}
        empty={() =>
          runs.length === 0 ? (
            <Empty>
              {chips.length > 0 ? (
                <>
                  No run fits the filters.{" "}
                  <button type="button" className="link" onClick={() => setChips([])}>
                    Clear them
                  </button>
                </>
              ) : (
                "This project has no run yet."
              )}
            </Empty>
          ) : null
        }
      >
        {() => (
          <div className={charts ? "split" : ""} style={charts ? undefined : { display: "flex", flex: 1, minHeight: 0 }}>
            <div style={{ display: "flex", flexDirection: "column", gap: 6, minWidth: 0, minHeight: 0, flex: 1 }}>
              <RunsTable
                project={scope}
                runs={runs}
                columns={columnKeys.map(columnOf)}
                order={order}
                onOrder={(next) => set((params) => params.set("order", next))}
                hidden={hidden}
                onHide={toggleHidden}
                chosen={selection.chosen}
                onChoose={selection.toggle}
                onAll={selection.all}
                more={query.hasNextPage && !query.isFetchingNextPage ? () => void query.fetchNextPage() : null}
              />
              <span className="quiet small" role="status">
                {count(runs.length, "run")}
                {query.hasNextPage ? ", more when you scroll" : ""}
                {selection.chosen.size > 0 ? ` · ${selection.chosen.size} selected` : ""}
              </span>
            </div>
            {charts && (
              <section aria-label="Charts" style={{ minWidth: 0, overflow: "auto", maxHeight: "calc(100dvh - 190px)" }}>
                {pool.length > DRAWN && <p className="quiet small">The first {DRAWN} {selection.chosen.size > 0 ? "selected " : ""}runs are drawn.</p>}
                {lines.length === 0 ? <Empty>All runs are hidden.</Empty> : <ChartWall keys={keys} runs={lines} />}
              </section>
            )}
          </div>
        )}
      </View>
    </>
  );
}

/** The state, then what the runs reached, when, and with which settings. */
function defaultColumns(runs: Run[]): string[] {
  const sample = runs.slice(0, 20);
  const summary = metricKeys(sample).slice(0, 4).map((key) => `summary.${key}`);
  const config = [...new Set(sample.flatMap((run) => leaves(run.config).filter(([, value]) => typeof value !== "object").map(([key]) => key)))].filter((key) => !key.startsWith("_")).slice(0, 3).map((key) => `config.${key}`);
  return ["state", ...summary, "created", "duration", ...config, "author", "tags"];
}

function AddFilter({ onAdd }: { onAdd: (chip: Chip) => void }) {
  const [text, setText] = useState("");
  return (
    <input
      className="input"
      style={{ width: 230 }}
      data-filter
      aria-label="Add filter"
      placeholder="+ filter: lr>0.1, state:running, name"
      value={text}
      onChange={(event) => setText(event.target.value)}
      onKeyDown={(event) => {
        const chip = event.key === "Enter" ? parseChip(text) : null;
        if (!chip) return;
        onAdd(chip);
        setText("");
      }}
    />
  );
}

/** The column picker; with a thousand keys it needs its search. */
function Columns({ runs, chosen, onChoose }: { runs: Run[]; chosen: string[]; onChoose: (keys: string[]) => void }) {
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const all = useMemo(() => {
    if (!open) return [];
    const keys = new Set(["state", "author", "created", "duration", "tags", "job"]);
    for (const run of runs.slice(0, 200)) {
      leaves(run.summary).forEach(([key]) => key.startsWith("_") || keys.add(`summary.${key}`));
      leaves(run.config).forEach(([key]) => key.startsWith("_") || keys.add(`config.${key}`));
    }
    return [...keys];
  }, [runs, open]);
  const fit = all.filter((key) => key.toLowerCase().includes(text.toLowerCase()));
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Columns
      </button>
      {open && (
        <Dialog title="Columns" name="Columns" onClose={() => setOpen(false)}>
          <input className="input" type="search" aria-label="Search columns" placeholder={`Search ${all.length} columns`} value={text} onChange={(event) => setText(event.target.value)} />
          <div className="stack" style={{ gap: 4 }}>
            {fit.slice(0, 200).map((key) => (
              <label key={key} className="row">
                <input type="checkbox" checked={chosen.includes(key)} onChange={() => onChoose(chosen.includes(key) ? chosen.filter((one) => one !== key) : [...chosen, key])} />
                <span className="cut">{key}</span>
              </label>
            ))}
          </div>
          {fit.length > 200 && <p className="quiet small">200 of {fit.length} are shown; the search narrows them.</p>}
        </Dialog>
      )}
    </>
  );
}

function Bulk({ runs, entity, onDone }: { runs: Run[]; entity: string; onDone: () => void }) {
  const queries = useQueryClient();
  const may = useMay(entity, "member");
  const [asking, setAsking] = useState<"stop" | "delete" | "tag" | null>(null);
  const [tag, setTag] = useState("");
  const act = useMutation({
    mutationFn: async (verb: "stop" | "delete" | "tag") => {
      const chosen = verb === "stop" ? runs.filter((run) => !isEnded(run.state)) : runs;
      const results = await Promise.allSettled(
        chosen.map(async (run) => {
          const params = { path: { entity: run.entity, project: run.project, run: run.id } };
          if (verb === "stop") return api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/stop", { params });
          if (verb === "delete") return api.DELETE("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { params });
          return api.PATCH("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { params, body: { tags: [...new Set([...run.tags, tag.trim()])] } });
        }),
      );
      const refused = results.find((result) => result.status === "rejected");
      if (refused) throw refused.reason;
    },
    onSuccess: onDone,
    onSettled: () => queries.invalidateQueries({ queryKey: ["runs"] }),
  });
  if (act.isError) return <Failure error={act.error} retry={() => act.reset()} />;
  if (!may || runs.length === 0) return null;
  const live = runs.filter((run) => !isEnded(run.state)).length;
  const names = count(runs.length, "run");
  return (
    <>
      <DropdownMenu.Root modal={false}>
        <DropdownMenu.Trigger asChild>
          <button type="button" className="button">
            {names} selected ▾
          </button>
        </DropdownMenu.Trigger>
        <DropdownMenu.Portal>
          <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
            <DropdownMenu.Item onSelect={() => setAsking("tag")}>Add a tag…</DropdownMenu.Item>
            <DropdownMenu.Item disabled={live === 0} onSelect={() => setAsking("stop")}>
              Stop {count(live, "running run")}…
            </DropdownMenu.Item>
            <DropdownMenu.Item onSelect={() => setAsking("delete")}>Delete {names}…</DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
      {asking === "stop" && (
        <Confirm title="Stop these runs?" action={`Stop ${count(live, "running run")}`} onYes={() => act.mutate("stop")} onClose={() => setAsking(null)}>
          <p>Items that launched them stop too.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title={`Delete ${names}?`} action={`Delete ${names}`} typed="delete" onYes={() => act.mutate("delete")} onClose={() => setAsking(null)}>
          <p>Their history and files go with them; their artifacts stay. This cannot be undone.</p>
        </Confirm>
      )}
      {asking === "tag" && (
        <Dialog
          title="Add a tag"
          name="Add a tag"
          onClose={() => setAsking(null)}
          foot={
            <button
              type="button"
              className="button primary"
              disabled={tag.trim() === ""}
              onClick={() => {
                act.mutate("tag");
                setAsking(null);
              }}
            >
              Tag {names}
            </button>
          }
        >
          <Field label="Tag">{(tie) => <input {...tie} className="input" value={tag} onChange={(event) => setTag(event.target.value)} />}</Field>
        </Dialog>
      )}
    </>
  );
}
