import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "react-router";
import { projectsOfQuery, queuesQuery } from "../../api/queries";
import type { Item, Me, Project, Queue, Run } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMe, useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Ago } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Sparkline } from "../../components/sparkline";
import { State } from "../../components/state";
import { Empty, Loading, View } from "../../components/view";
import { metric } from "../../format/text";
import { ItemDrawer } from "../item/item-drawer";
import { useWhys } from "../item/whys";
import { itemColumns } from "../item/item-columns";
import { metricKeys, mostTelling } from "../project/run-keys";
import { isLive, queueState } from "../queue/queue-state";
import { FirstSteps } from "./first-steps";
import { myItemsQuery, RECENT, recentRunsQuery } from "./home-data";

/** My items and runs at the left, the queues at the right; the first steps while the server is new to me. */
export function Component() {
  const me = useMe();
  const scope = useScope();
  const { entities } = scope;
  const [search, change] = useAddress();
  const items = useInfiniteQuery(myItemsQuery(me, scope));
  const queues = useQuery(queuesQuery(entities));
  const projects = useQuery(projectsOfQuery(entities));
  const newest = (projects.data ?? []).filter((project) => project.runs > 0).slice(0, 5);
  const own = useRecentRuns(me, newest);
  // Who has none sees what the others did.
  const others = useRecentRuns(null, own.done && own.runs.length === 0 ? newest : []);
  const recent = own.runs.length > 0 ? own.runs : others.runs;
  const list = useWhys(items.data?.pages.flatMap((page) => page.items) ?? []);
  const open = search.get("item");
  const [text, setText] = useState("");
  const fits = (...words: (string | null | undefined)[]) => words.join(" ").toLowerCase().includes(text.toLowerCase());
  const show = (id: string | null) => change((params) => put(params, "item", id));
  const runs = (projects.data ?? []).reduce((sum, project) => sum + project.runs, 0);
  const isNew = items.isSuccess && projects.isSuccess && list.length === 0 && runs < 3;
  // Once shown they stay while one is here, so that one sees the last of them tick.
  const [showing, setShowing] = useState(false);
  if (isNew && !showing) setShowing(true);

  return (
    <>
      <PageHead title="Home" action={<Link className="button primary" to="/launch">Queues</Link>}>
        <input className="input" style={{ width: 220 }} type="search" data-filter aria-label="Filter" placeholder="Filter  /" value={text} onChange={(event) => setText(event.target.value)} />
      </PageHead>
      <div className="page-body">
        {showing && <FirstSteps launched={list.length > 0} />}
        <div className="columns">
          <div className="stack">
            <h2>My items</h2>
            <View query={items} height={180} empty={() => (list.length === 0 ? <Empty>You launched nothing yet.</Empty> : null)}>
              {() => (
                <Rows<Item>
                  name="My items"
                  rows={list.filter((item) => fits(item.job, item.queue, item.state, item.run, item.name))}
                  id={(item) => item.id}
                  columns={[itemColumns.state, itemColumns.job, itemColumns.queue, itemColumns.when, itemColumns.cause]}
                  onOpen={(item) => show(item.id)}
                  open={open}
                />
              )}
            </View>
            <h2>{own.runs.length > 0 || recent.length === 0 ? "My recent runs" : "Recent runs"}</h2>
            {recent.length > 0 ? <RecentRuns name={own.runs.length > 0 ? "My recent runs" : "Recent runs"} runs={recent.filter((run) => fits(run.name, run.project, run.state, run.tags.join(" ")))} /> : own.done && others.done ? <Empty>You tracked no run yet.</Empty> : <Loading height={120} />}
          </div>
          <div className="stack">
            <h2>Queues</h2>
            <View query={queues} height={180} empty={(all) => (all.length === 0 ? <Empty>There is no queue. <Link to="/launch">Create one</Link></Empty> : null)}>
              {(all) => <HomeQueues queues={all.filter((queue) => fits(queue.entity, queue.name, queue.target, queueState(queue)))} />}
            </View>
          </div>
        </div>
      </div>
      {open && <ItemDrawer id={open} ids={list.map((item) => item.id)} onShow={show} />}
    </>
  );
}

function HomeQueues({ queues }: { queues: Queue[] }) {
  return (
    <Rows<Queue>
      name="Queues"
      rows={queues}
      id={(queue) => queue.id}
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

/** The newest runs of some projects, the newest first. */
function useRecentRuns(me: Me | null, projects: Project[]): { runs: Run[]; done: boolean } {
  const found = useQueries({ queries: projects.map((project) => recentRunsQuery(me, project.entity, project.name)) });
  const runs = found.flatMap((query) => query.data ?? []).sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
  return { runs: runs.slice(0, RECENT), done: found.every((query) => !query.isPending) };
}

function RecentRuns({ name, runs }: { name: string; runs: Run[] }) {
  return (
    <Rows<Run>
      name={name}
      rows={runs}
      id={(run) => `${run.project}/${run.id}`}
      columns={[
        { name: "State", cell: (run) => <State state={run.state} /> },
        { name: "Run", cell: (run) => <Link className="nowrap" to={`/${run.entity}/${run.project}/runs/${run.id}`}>{run.name}</Link> },
        { name: "Project", cell: (run) => <Link to={`/${run.entity}/${run.project}`}>{run.project}</Link> },
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
        {metric(run.summary[name])}
      </span>
    </span>
  );
}
