import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { projectsOfQuery, queuesQuery } from "../../api/queries";
import type { Item, Me, Project, Queue, Run } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMe, useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import type { Fields } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Ago } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Sparkline } from "../../components/sparkline";
import { State } from "../../components/state";
import { Empty, Failure, Loading, More, View } from "../../components/view";
import { metric } from "../../format/text";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";
import { useWhys } from "../item/whys";
import { itemColumns } from "../item/item-columns";
import { metricKeys, mostTelling, resultOf } from "../project/run-keys";
import { QueueDrawer } from "../queue/queue-drawer";
import { isLive, queueState } from "../queue/queue-state";
import { RunDrawer, type RunName } from "../run/run-drawer";
import { FirstSteps } from "./first-steps";
import { myItemsQuery, RECENT, recentRunsQuery } from "./home-data";

const itemFields: Fields<Item> = { state: (item) => item.state, job: (item) => item.job, queue: (item) => item.queue, project: (item) => item.project, entity: (item) => item.entity, run: (item) => [item.run ?? "", item.name ?? ""] };
const runFields: Fields<Run> = { state: (run) => run.state, project: (run) => run.project, entity: (run) => run.entity, tag: (run) => run.tags, job: (run) => run.job, name: (run) => [run.name, run.id] };
const queueFields: Fields<Queue> = { queue: (queue) => queue.name, entity: (queue) => queue.entity, more: (queue) => [queue.target ?? "", queueState(queue)] };

const queueId = (queue: Queue) => `${queue.entity}/${queue.name}`;
const runId = (run: Run) => `${run.entity}/${run.project}/${run.id}`;

/** `entity/project/run` of the address. */
function runNamed(text: string | null): RunName | null {
  const [entity, project, run] = (text ?? "").split("/");
  return entity && project && run ? { entity, project, run } : null;
}

/** My items and runs at the left, the queues at the right; the first steps while the server is new to me. */
export function Component() {
  const me = useMe();
  const scope = useScope();
  const { entities } = scope;
  const [search, change] = useAddress();
  const items = useInfiniteQuery(myItemsQuery(me, scope));
  const queues = useQuery(queuesQuery(entities));
  const projects = useQuery(projectsOfQuery(entities));
  const newest = projects.data?.filter((project) => project.runs > 0).slice(0, 5);
  const own = useRecentRuns(me, newest);
  // Who has none sees what the others did.
  const others = useRecentRuns(null, own.isKnown && own.runs.length === 0 ? newest : []);
  const failed = [projects.isError && { error: projects.error, retry: () => void projects.refetch() }, own, others].find((one) => one && one.error !== null) || null;
  const recent = own.runs.length > 0 ? own.runs : others.runs;
  const list = useWhys(items.data?.pages.flatMap((page) => page.items) ?? []);
  const open = search.get("item");
  const filter = useListFilter("Filter", ["state", "queue", "project", "job", "tag", "entity"], {
    state: ["queued", "running", "finished", "failed", "stopped", "crashed"],
    queue: (queues.data ?? []).map((queue) => queue.name),
    project: (projects.data ?? []).map((project) => project.name),
  });
  const myItems = filter.keep(list, itemFields);
  const recentRuns = filter.keep(recent, runFields);
  const show = (id: string | null) => change((params) => putItem(params, id));
  const openRun = runNamed(search.get("run"));
  const showRun = (id: string | null) =>
    change((params) => {
      put(params, "run", id);
      params.delete("launch");
    });
  const openQueue = queues.data?.find((queue) => queueId(queue) === search.get("queue"));
  const showQueue = (id: string | null) =>
    change((params) => {
      put(params, "queue", id);
      params.delete("launch");
    });
  const runs = (projects.data ?? []).reduce((sum, project) => sum + project.runs, 0);
  const isNew = items.isSuccess && projects.isSuccess && list.length === 0 && runs < 3;
  // Once shown they stay while one is here, so that one sees the last of them tick.
  const [showing, setShowing] = useState(false);
  if (isNew && !showing) setShowing(true);

  return (
    <>
      <PageHead title="Home" action={<Link className="button primary" to="/launch">Queues</Link>}>
        {filter.bar}
      </PageHead>
      <div className="page-body">
        {showing && <FirstSteps launched={list.length > 0} />}
        <div className="columns home">
          <div className="stack">
            <h2>My items</h2>
            <View query={items} height={180} empty={() => (list.length === 0 ? <Empty>You launched nothing yet.</Empty> : null)}>
              {() => (
                <>
                  <Rows<Item>
                    name="My items"
                    rows={myItems}
                    id={(item) => item.id}
                    columns={[itemColumns.state, itemColumns.job, itemColumns.queue, itemColumns.when, itemColumns.cause]}
                    onOpen={(item) => show(item.id)}
                    open={open}
                  />
                  {filter.none(myItems)}
                </>
              )}
            </View>
            <More shown={list.length} what="launches" more={items.hasNextPage ? () => void items.fetchNextPage() : null} loading={items.isFetchingNextPage} />
            <h2>{own.runs.length > 0 || recent.length === 0 ? "My recent runs" : "Recent runs"}</h2>
            {failed && <Failure error={failed.error} retry={failed.retry} />}
            {recent.length > 0 ? (
              <>
                <RecentRuns name={own.runs.length > 0 ? "My recent runs" : "Recent runs"} runs={recentRuns} open={search.get("run")} onOpen={showRun} />
                {filter.none(recentRuns)}
              </>
            ) : own.isKnown && others.isKnown ? (
              <Empty>You tracked no run yet.</Empty>
            ) : (
              !failed && <Loading height={120} />
            )}
            {recent.length >= RECENT && (
              <p className="quiet small" role="note">
                The newest {RECENT} are shown; the pages of the projects have all.
              </p>
            )}
          </div>
          <div className="stack">
            <h2>Queues</h2>
            <View query={queues} height={180} empty={(all) => (all.length === 0 ? <Empty>There is no queue. <Link to="/launch">Create one</Link></Empty> : null)}>
              {(all) => (
                <>
                  <HomeQueues queues={filter.keep(all, queueFields)} open={search.get("queue")} onOpen={showQueue} />
                  {filter.none(filter.keep(all, queueFields))}
                </>
              )}
            </View>
          </div>
        </div>
      </div>
      {open && <ItemDrawer id={open} ids={myItems.map((item) => item.id)} onShow={show} />}
      {openRun && <RunDrawer name={openRun} id={search.get("run")!} ids={recentRuns.map(runId)} onShow={showRun} />}
      {openQueue && <QueueDrawer queue={openQueue} id={queueId(openQueue)} ids={filter.keep(queues.data ?? [], queueFields).map(queueId)} onShow={showQueue} />}
    </>
  );
}

function HomeQueues({ queues, open, onOpen }: { queues: Queue[]; open: string | null; onOpen: (id: string) => void }) {
  return (
    <Rows<Queue>
      name="Queues"
      rows={queues}
      id={queueId}
      open={open}
      onOpen={(queue) => onOpen(queueId(queue))}
      columns={[
        { name: "Queue", cell: (queue) => <Link to={`/launch/${queue.entity}/${queue.name}/items`}>{queue.name}</Link> },
        { name: "Target", wide: true, cell: (queue) => <span className="quiet">{queue.target ?? "per item"}</span> },
        { name: "Wait", num: true, cell: (queue) => queue.counts.queued ?? 0 },
        { name: "Run", num: true, cell: (queue) => (queue.counts.running ?? 0) + (queue.counts.leased ?? 0) },
        { name: "Agents", num: true, wide: true, cell: (queue) => queue.agents.filter((agent) => isLive(agent.status)).length },
        { name: "State", cell: (queue) => <State of="queue" state={queueState(queue)} /> },
      ]}
    />
  );
}

interface Recent {
  runs: Run[];
  /** Whether all that was asked for is there: none then means that there is none. */
  isKnown: boolean;
  error: Error | null;
  retry: () => void;
}

/** The newest runs of some projects, the newest first. */
function useRecentRuns(me: Me | null, projects: Project[] | undefined): Recent {
  const found = useQueries({ queries: (projects ?? []).map((project) => recentRunsQuery(me, project.entity, project.name)) });
  const runs = found.flatMap((query) => query.data ?? []).sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  const failed = found.filter((query) => query.isError);
  return {
    runs: runs.slice(0, RECENT),
    isKnown: projects !== undefined && found.every((query) => query.data !== undefined),
    error: failed[0]?.error ?? null,
    retry: () => failed.forEach((query) => void query.refetch()),
  };
}

function RecentRuns({ name, runs, open, onOpen }: { name: string; runs: Run[]; open: string | null; onOpen: (id: string) => void }) {
  return (
    <Rows<Run>
      name={name}
      rows={runs}
      id={runId}
      open={open}
      onOpen={(run) => onOpen(runId(run))}
      columns={[
        { name: "State", cell: (run) => <State state={run.state} /> },
        { name: "Run", grow: true, cell: (run) => <Link className="nowrap" title={run.name} to={`/${run.entity}/${run.project}/runs/${run.id}`}>{run.name}</Link> },
        { name: "Project", cell: (run) => <Link className="nowrap" title={`${run.entity}/${run.project}`} to={`/${run.entity}/${run.project}`}>{run.project}</Link> },
        { name: "Result", num: true, wide: true, cell: (run) => <MainMetric run={run} /> },
        { name: "Began", wide: true, cell: (run) => <Ago time={run.created_at} /> },
      ]}
    />
  );
}

/** The most telling number of a summary, with its course. */
function MainMetric({ run }: { run: Run }) {
  const name = useMemo(() => mostTelling(metricKeys([run])), [run]);
  if (!name) return <span className="quiet">–</span>;
  return (
    <span className="row" style={{ justifyContent: "flex-end" }} title={name}>
      <span className="quiet cut">{name.split("/").at(-1)}</span>
      <Sparkline run={run} name={name} />
      <span className="num" style={{ minWidth: 52 }}>
        {metric(resultOf(run, name))}
      </span>
    </span>
  );
}
