/** A sweep over the list of them: how its runs stand, which went best, and what they tried. The server has the runs of a
    sweep alone, not its plan, so that all this is read from them. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { firstRunsQuery } from "../../api/queries";
import type { Json, Run, RunGroup } from "../../api/types";
import { Ago, Lasted } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { Empty, View } from "../../components/view";
import { byName, metric, shortJson } from "../../format/text";
import { leaves } from "../launch/inputs";
import { runPage } from "../run/run-drawer";
import { chipTyped, filterOf } from "./run-filter";
import { GroupStates } from "./group-states";
import { chipOf } from "./run-groups";
import { metricKeys, mostTelling } from "./run-keys";

/** Runs that are read; the page has all. */
const NEWEST = 20;
/** Of these, those that the table has. */
const LISTED = 5;
/** Settings and values of one that are shown. */
const SETTINGS = 12;
const VALUES = 6;

/** The name of a sweep; empty for the group of the runs without one. */
export const sweepOf = (group: RunGroup): string => (group.values[0] as unknown as string | null | undefined) ?? "";

const chipOfSweep = (sweep: string) => chipOf("sweep", sweep)!;

/** Its runs beside their charts. */
export const sweepPage = (entity: string, project: string, sweep: string) => `/${entity}/${project}?f=${encodeURIComponent(chipTyped(chipOfSweep(sweep)))}`;

/** The settings that differ between runs, with their values in order. */
export function tried(runs: Pick<Run, "config">[]): { key: string; values: Json[] }[] {
  const found = new Map<string, Map<string, Json>>();
  for (const run of runs) {
    for (const [key, value] of leaves(run.config)) {
      if (key.startsWith("_")) continue;
      const values = found.get(key) ?? new Map<string, Json>();
      found.set(key, values.set(JSON.stringify(value), value));
    }
  }
  const order = (a: Json, b: Json) => (typeof a === "number" && typeof b === "number" ? a - b : byName(String(a), String(b)));
  return [...found]
    .filter(([, values]) => values.size > 1)
    .map(([key, values]) => ({ key, values: [...values.values()].sort(order) }))
    .sort((a, b) => byName(a.key, b.key));
}

/** Values in a line: numbers by where they lie, others one by one. */
export function valuesLine(values: Json[]): string {
  if (values.length > VALUES && values.every((value) => typeof value === "number")) return `${shortJson(values[0])} … ${shortJson(values.at(-1))}, ${values.length} values`;
  const rest = values.length - VALUES;
  return `${values.slice(0, VALUES).map(shortJson).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

export function SweepDrawer({ entity, project, sweep, ids, onShow }: { entity: string; project: string; sweep: RunGroup; ids: string[]; onShow: (id: string | null) => void }) {
  const name = sweepOf(sweep);
  const page = sweepPage(entity, project, name);
  const filter = filterOf([chipOfSweep(name)])!;
  const runs = useQuery(firstRunsQuery(entity, project, { order: "-created_at", filter }, NEWEST));
  const first = useQuery(firstRunsQuery(entity, project, { order: "+created_at", filter }, 1)).data?.[0];
  const key = mostTelling(metricKeys(runs.data ?? []));
  const last = runs.data?.[0];
  return (
    <RowDrawer
      what="sweep"
      name={`Sweep ${name}`}
      title={name}
      page={page}
      id={name}
      ids={ids}
      onShow={onShow}
    >
      <dl className="facts">
        <dt>Runs</dt>
        <dd>{sweep.runs.toLocaleString("en-US")}</dd>
        <dt>States</dt>
        <dd>
          <GroupStates group={sweep} />
        </dd>
        <dt>First run</dt>
        <dd>{first ? <Ago time={first.created_at} /> : "…"}</dd>
        <dt>Last run</dt>
        <dd>{last ? <Ago time={last.created_at} /> : "…"}</dd>
        {key !== undefined && (
          <>
            <dt>Greatest {key}</dt>
            <dd>
              <Best entity={entity} project={project} filter={filter} order="-" of={key} />
            </dd>
            <dt>Least {key}</dt>
            <dd>
              <Best entity={entity} project={project} filter={filter} order="+" of={key} />
            </dd>
          </>
        )}
      </dl>
      <View query={runs} height={240} empty={(list) => (list.length === 0 ? <Empty>Its runs are gone.</Empty> : null)}>
        {(list) => (
          <>
            <Parameters runs={list} of={sweep.runs} />
            <h3>Newest runs</h3>
            <Rows<Run>
              name="Newest runs"
              rows={list.slice(0, LISTED)}
              id={(run) => run.id}
              columns={[
                { name: "State", cell: (run) => <State state={run.state} /> },
                { name: "Run", cell: (run) => <RunLink run={run} /> },
                { name: "By", wide: true, cell: (run) => run.author },
                { name: "Began", cell: (run) => <Ago time={run.created_at} /> },
                { name: "Ran", num: true, wide: true, cell: (run) => <Lasted from={run.created_at} to={run.ended_at ?? (run.state === "running" ? null : run.heartbeat_at)} /> },
                ...(key === undefined ? [] : [{ name: key, num: true, cell: (run: Run) => metric(run.summary[key]) }]),
              ]}
            />
          </>
        )}
      </View>
      <p className="quiet small">
        The server has the runs of a sweep. Its method, its goal and its ranges are in the file that it was made from.
      </p>
    </RowDrawer>
  );
}

const RunLink = ({ run }: { run: Run }) => <Link to={runPage({ entity: run.entity, project: run.project, run: run.id })}>{run.name}</Link>;

/** The run at one end of a metric. Which end is the better one only the plan of the sweep says. */
function Best({ entity, project, filter, order, of }: { entity: string; project: string; filter: string; order: "+" | "-"; of: string }) {
  const known = `{"$and":[${filter},${JSON.stringify({ [`summary_metrics.${of}`]: { $exists: true } })}]}`;
  const run = useQuery(firstRunsQuery(entity, project, { order: `${order}summary_metrics.${of}`, filter: known }, 1)).data?.[0];
  if (!run) return <>…</>;
  return (
    <span className="row">
      <span className="num">{metric(run.summary[of])}</span> <RunLink run={run} />
    </span>
  );
}

/** What the runs tried: the settings in which they differ. */
function Parameters({ runs, of }: { runs: Run[]; of: number }) {
  const settings = tried(runs);
  return (
    <section className="stack" style={{ gap: 8 }} aria-label="Parameters">
      <h3>Parameters</h3>
      {settings.length === 0 && <p className="quiet">{runs.length > 1 ? "Its runs have the same settings." : "They are known with a second run."}</p>}
      <dl className="facts">
        {settings.slice(0, SETTINGS).map(({ key, values }) => (
          <div key={key} style={{ display: "contents" }}>
            <dt>{key}</dt>
            <dd>
              <code>{valuesLine(values)}</code>
            </dd>
          </div>
        ))}
      </dl>
      {(settings.length > SETTINGS || of > runs.length) && (
        <p className="quiet small">
          {settings.length > SETTINGS ? `${SETTINGS} of ${settings.length}. ` : ""}
          {of > runs.length ? `As the newest ${runs.length} runs have them.` : ""}
        </p>
      )}
    </section>
  );
}
