/** A queue over the list of queues: who waits and why, who serves it, and a launch on it. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { itemsQuery } from "../../api/queries";
import type { Item, Queue } from "../../api/types";
import { useMay } from "../../app/scope";
import { Command } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { Empty, View } from "../../components/view";
import { agentCommand } from "../../format/text";
import { itemColumns } from "../item/item-columns";
import { useWhys } from "../item/whys";
import { together } from "./queue-data";
import { useQueueLaunch } from "./queue-launch";
import { isLive, policyLine, queueState } from "./queue-state";

/** Items that are shown of what runs, and of what is next; the page has all. */
const ITEMS = 6;

export function QueueDrawer({ queue, id, ids, onShow }: { queue: Queue; id: string; ids: string[]; onShow: (id: string | null) => void }) {
  const page = `/launch/${queue.entity}/${queue.name}`;
  const may = useMay(queue.entity, "member");
  const [begin, drawer] = useQueueLaunch(queue.entity, queue.name);
  const running = useInfiniteQuery(itemsQuery({ entity: queue.entity, queue: queue.name, state: "leased,running" }, ITEMS));
  const waiting = useInfiniteQuery(itemsQuery({ entity: queue.entity, queue: queue.name, state: "queued", order: "place" }, ITEMS));
  const first = (query: typeof running) => query.data?.pages[0]?.items ?? [];
  const list = useWhys(together({ running: first(running), waiting: first(waiting), ended: [] }));
  return (
    <RowDrawer
      what="queue"
      name={`Queue ${queue.name}`}
      title={<Link to={`${page}/items`}>{queue.name}</Link>}
      id={id}
      ids={ids}
      onShow={onShow}
      foot={
        may && (
          <button type="button" className="button primary" onClick={begin}>
            Launch
          </button>
        )
      }
    >
      <dl className="facts">
        <dt>State</dt>
        <dd>
          <State of="queue" state={queueState(queue)} />
        </dd>
        <dt>Entity</dt>
        <dd>{queue.entity}</dd>
        <dt>Target</dt>
        <dd>{queue.target ?? "per item"}</dd>
        <dt>Policy</dt>
        <dd>{policyLine(queue.policy)}</dd>
        <dt>Items</dt>
        <dd>
          {queue.counts.queued ?? 0} waiting, {(queue.counts.leased ?? 0) + (queue.counts.running ?? 0)} running
        </dd>
      </dl>
      {!queue.agents.some((agent) => isLive(agent.status)) && (
        <div className="banner" data-tone="red">
          <strong>No agent takes its items.</strong>
          <Command text={agentCommand(queue.name, queue.entity)} />
        </div>
      )}
      <h3>Waiting and running</h3>
      <View query={running.data ? waiting : running} height={80} empty={() => (list.length === 0 ? <Empty>Nothing waits, nothing runs.</Empty> : null)}>
        {() => <Rows<Item> name="Waiting and running" rows={list} id={(item) => item.id} columns={[itemColumns.state, itemColumns.job, itemColumns.by, itemColumns.waited, itemColumns.cause]} />}
      </View>
      {queue.agents.length > 0 && (
        <>
          <h3>Agents</h3>
          <Rows<Queue["agents"][number]>
            name="Agents"
            rows={queue.agents}
            id={(agent) => agent.id}
            columns={[
              { name: "Name", cell: (agent) => <Link to={`${page}/agents?agent=${encodeURIComponent(agent.id)}`}>{agent.name}</Link> },
              { name: "Status", cell: (agent) => <State of="agent" state={agent.status} /> },
            ]}
          />
        </>
      )}
      <p className="row wrap">
        <Link to={`${page}/items`}>Items</Link>
        <Link to={`${page}/monitor`}>Monitor</Link>
        <Link to={`${page}/config`}>Config</Link>
      </p>
      {drawer}
    </RowDrawer>
  );
}
