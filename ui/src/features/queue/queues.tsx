import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { queuesQuery } from "../../api/queries";
import type { Queue } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { mayIn, useMe, useReadOnly, useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Rows } from "../../components/rows";
import { State } from "../../components/state";
import { Cut, Empty, View } from "../../components/view";
import { count } from "../../format/text";
import { CreateQueue } from "./create-queue";
import { QueueDrawer } from "./queue-drawer";
import { isLive, policyLine, queueState } from "./queue-state";

const fields: Fields<Queue> = {
  state: (queue) => queueState(queue),
  name: (queue) => queue.name,
  target: (queue) => queue.target ?? "per item",
  entity: (queue) => queue.entity,
  waiting: (queue) => queue.counts.queued ?? 0,
};

const idOf = (queue: Queue) => `${queue.entity}/${queue.name}`;

/** The Launch page: the queues of the chosen entity, or of all. */
export function Component() {
  const { chosen, entities } = useScope();
  const queues = useQuery(queuesQuery(entities));
  const me = useMe();
  const readOnly = useReadOnly();
  // Why no queue can be made here.
  const why = readOnly ?? (entities.some((entity) => mayIn(me, entity, "admin")) ? null : `Only admins of ${chosen || "a team"} make its queues.`);
  const [creating, setCreating] = useState(false);
  const [search, change] = useAddress();
  const filter = useListFilter("Filter queues", Object.keys(fields), valuesOf(queues.data ?? [], fields));
  const shown = filter.keep(queues.data ?? [], fields);
  const open = queues.data?.find((queue) => idOf(queue) === search.get("queue"));
  const show = (id: string | null) =>
    change((params) => {
      put(params, "queue", id);
      params.delete("launch");
    });
  return (
    <>
      <PageHead
        title="Queues"
        action={
          <button type="button" className="button primary" disabled={why !== null} title={why ?? undefined} onClick={() => setCreating(true)}>
            Create queue
          </button>
        }
      >
        <span className="quiet">{chosen ? `of ${chosen}` : "of all entities"}</span>
      </PageHead>
      <div className="page-body">
        <div className="row wrap">{filter.bar}</div>
        <View query={queues} height={240}>
          {(list) => (
            <>
              <Rows<Queue>
                name="Queues"
                rows={shown}
                id={idOf}
                open={open && idOf(open)}
                onOpen={(queue) => show(idOf(queue))}
                empty={
                  list.length === 0 && (
                    <Empty
                      action={
                        <button type="button" className="button" disabled={why !== null} title={why ?? undefined} onClick={() => setCreating(true)}>
                          Create the first queue
                        </button>
                      }
                    >
                      {chosen ? `${chosen} has no queue.` : "None of your entities has a queue."} A queue holds items in order until an agent takes them.
                    </Empty>
                  )
                }
                columns={[
                  { name: "Queue", cell: (queue) => <strong className="nowrap" style={{ fontWeight: 550 }}>{queue.name}</strong> },
                  { name: "Entity", cell: (queue) => <span className="nowrap">{queue.entity}</span> },
                  { name: "Target", wide: true, cell: (queue) => queue.target ?? <span className="quiet">per item</span> },
                  { name: "State", cell: (queue) => <State of="queue" state={queueState(queue)} /> },
                  { name: "Waiting", num: true, cell: (queue) => queue.counts.queued ?? 0 },
                  { name: "Running", num: true, cell: (queue) => (queue.counts.running ?? 0) + (queue.counts.leased ?? 0) },
                  { name: "Agents", wide: true, cell: (queue) => <span className="nowrap">{agentsLine(queue)}</span> },
                  { name: "Policy", wide: true, grow: true, cell: (queue) => <span className="quiet small" title={policyLine(queue.policy)}>{policyLine(queue.policy)}</span> },
                  {
                    name: "Open",
                    hidden: true,
                    num: true,
                    cell: (queue) => (
                      <Link className="button" to={`/launch/${queue.entity}/${queue.name}/items`}>
                        View queue
                      </Link>
                    ),
                  },
                ]}
              />
              {list.length > 0 && filter.none(shown)}
              <Cut list={list} what="queues" />
            </>
          )}
        </View>
      </div>
      {open && <QueueDrawer queue={open} id={idOf(open)} ids={shown.map(idOf)} onShow={show} />}
      {creating && <CreateQueue onClose={() => setCreating(false)} />}
    </>
  );
}

function agentsLine(queue: Queue) {
  const live = queue.agents.filter((agent) => isLive(agent.status)).length;
  if (queue.agents.length === 0) return <span className="quiet">none yet</span>;
  return `${live} of ${count(queue.agents.length, "agent")} live`;
}
