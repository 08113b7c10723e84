import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useLayoutEffect, useRef, useState } from "react";
import { Link } from "react-router";
import { api } from "../../api/client";
import { agentLogQuery, itemQuery, NEWEST_AGENTS } from "../../api/queries";
import type { Agent } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMay } from "../../app/scope";
import { say } from "../../components/notice";
import { Ago, Confirm, Id, Lasted } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { itemState, State } from "../../components/state";
import { Empty, Failure, View } from "../../components/view";
import { bytes, clock, count, exact } from "../../format/text";
import { jobName } from "../item/item-columns";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";

/** Agents with the words of the documentation: id and status first. `all` is the list before it was filtered. */
export function AgentTable({ agents, all = agents, empty }: { agents: Agent[]; all?: Agent[]; empty?: ReactNode }) {
  const [search, change] = useAddress();
  const open = all.find((agent) => agent.id === search.get("agent"));
  const item = search.get("item");
  const show = (agent: string | null, item: string | null) =>
    change((params) => {
      put(params, "agent", agent);
      putItem(params, item);
    });
  return (
    <>
      <Rows<Agent>
        name="Agents"
        rows={agents}
        id={(agent) => agent.id}
        onOpen={(agent) => show(agent.id, null)}
        open={open?.id}
        empty={empty}
        columns={[
          { name: "ID", cell: (agent) => <Id id={agent.id} length={12} /> },
          { name: "Status", cell: (agent) => <State of="agent" state={agent.status} /> },
          { name: "Name", cell: (agent) => agent.name },
          { name: "Host", wide: true, cell: (agent) => agent.host },
          { name: "Slots", wide: true, cell: (agent) => <Slots agent={agent} /> },
          { name: "Queues", wide: true, cell: (agent) => agent.queues.join(", ") },
          { name: "Version", wide: true, cell: (agent) => <code>{agent.version}</code> },
          { name: "Last seen", cell: (agent) => <Ago time={agent.last_seen} /> },
        ]}
      />
      {open && !item && <AgentDrawer agent={open} ids={agents.map((agent) => agent.id)} onShow={(id) => show(id, null)} onItem={(id) => show(open.id, id)} />}
      {item && <ItemDrawer id={item} {...(open ? { ids: open.items } : {})} onShow={(id) => show(open?.id ?? null, id)} />}
    </>
  );
}

/** Says that agents may be missing that ended long ago: of some entities' agents not all were read. */
export function EndedCut({ agents }: { agents: Agent[] }) {
  if (agents.length < NEWEST_AGENTS) return null;
  return (
    <p className="quiet" role="note">
      Of the agents that ended, the newest are shown.
    </p>
  );
}

/** A square per slot: full ones run something. Beyond 32 the numbers say it. */
function Slots({ agent }: { agent: Agent }) {
  const slots = agent.slots ?? agent.items.length;
  const words = agent.slots === null || agent.slots === undefined ? `${agent.items.length} running, no limit` : `${agent.items.length} of ${agent.slots}`;
  if (slots > 32 || slots <= 0) return <span className="num">{words}</span>;
  return (
    <span title={words} role="img" aria-label={words} style={{ display: "inline-flex", gap: 2, flexWrap: "wrap", maxWidth: 140 }}>
      {Array.from({ length: slots }, (_, index) => (
        <span key={index} style={{ width: 9, height: 9, borderRadius: 2, background: index < agent.items.length ? "var(--blue)" : "var(--n5)" }} />
      ))}
    </span>
  );
}

function AgentDrawer({ agent, ids, onShow, onItem }: { agent: Agent; ids: string[]; onShow: (id: string | null) => void; onItem: (id: string) => void }) {
  const queries = useQueryClient();
  const may = useMay(agent.entity, "admin");
  const [asking, setAsking] = useState<"drain" | "stop" | null>(null);
  const act = useMutation({
    mutationFn: async (verb: "drain" | "stop") => {
      const params = { path: { id: agent.id } };
      return verb === "drain" ? api.POST("/api/v1/agents/{id}/drain", { params }) : api.POST("/api/v1/agents/{id}/stop", { params });
    },
    onSuccess: async (_, verb) => {
      if (silent) say(`${agent.name} is silent. It ${verb === "drain" ? "drains" : "stops"} when it comes back.`);
      await queries.invalidateQueries({ queryKey: ["agents"] });
    },
  });
  // Word is left for it, and waits until it asks again.
  const silent = agent.status === "not_polling";
  const gone = agent.status === "killed";
  return (
    <RowDrawer
      what="agent"
      name={`Agent ${agent.name}`}
      title={<Link to={`/agents?agent=${encodeURIComponent(agent.id)}`}>{agent.name}</Link>}
      id={agent.id}
      ids={ids}
      onShow={onShow}
      foot={
        may && (
          <>
            <button type="button" className="button" disabled={gone || agent.status === "draining"} onClick={() => setAsking("drain")}>
              Drain
            </button>
            <button type="button" className="button danger" disabled={gone} onClick={() => setAsking("stop")}>
              Stop
            </button>
          </>
        )
      }
    >
      {act.isError && <Failure error={act.error} />}
      <dl className="facts">
        <dt>Status</dt>
        <dd>
          <State of="agent" state={agent.status} />
        </dd>
        <dt>Id</dt>
        <dd>
          <Id id={agent.id} length={32} />
        </dd>
        <dt>Host</dt>
        <dd>{agent.host}</dd>
        <dt>Version</dt>
        <dd>
          <code>{agent.version}</code>
        </dd>
        <dt>Queues</dt>
        <dd className="row wrap">
          {agent.queues.map((queue) => (
            <Link key={queue} to={`/launch/${agent.entity}/${queue}/items`}>
              {queue}
            </Link>
          ))}
        </dd>
        <dt>Slots</dt>
        <dd>
          <Slots agent={agent} />
        </dd>
        {agent.resources && Object.keys(agent.resources).length > 0 && (
          <>
            <dt>Machine</dt>
            <dd>{machineOf(agent.resources)}</dd>
          </>
        )}
        <dt>Started</dt>
        <dd>
          <Ago time={agent.created_at} />
        </dd>
        <dt>Last heartbeat</dt>
        <dd>
          <Ago time={agent.last_seen} />
        </dd>
        <dt>Running</dt>
        <dd>
          {agent.items.length === 0 && <span className="quiet">nothing</span>}
          {agent.items.map((id) => (
            <RunningItem key={id} id={id} onOpen={() => onItem(id)} />
          ))}
        </dd>
      </dl>
      <h3>Log</h3>
      <AgentLog id={agent.id} />
      {asking && (
        <Confirm
          title={asking === "drain" ? "Drain this agent?" : "Stop this agent?"}
          action={asking === "drain" ? "Drain" : `Stop it and ${count(agent.items.length, "running item")}`}
          onYes={() => act.mutate(asking)}
          onClose={() => setAsking(null)}
        >
          {silent && <p>It is silent since <Ago time={agent.last_seen} />, and hears of this when it comes back.</p>}
          <p>{asking === "drain" ? "It finishes its items, takes nothing new, and ends." : "It stops its items and ends."}</p>
        </Confirm>
      )}
    </RowDrawer>
  );
}

/** What the agent says of itself, followed at its end. */
function AgentLog({ id }: { id: string }) {
  const log = useQuery(agentLogQuery(id));
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const last = log.data?.at(-1)?.number;
  useLayoutEffect(() => {
    if (box.current && atEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [last]);
  return (
    <View query={log} height={160} empty={(lines) => (lines.length > 0 ? null : <Empty>The server has no line of it. An agent of another program keeps its log on its own machine.</Empty>)}>
      {(lines) => (
        <div
          ref={box}
          className="log wrap"
          role="log"
          aria-label="Log of the agent"
          // A log scrolls, so the keyboard must reach it.
          // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
          tabIndex={0}
          style={{ maxHeight: 300 }}
          onScroll={(event) => {
            const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
            atEnd.current = scrollHeight - scrollTop - clientHeight < 24;
          }}
        >
          {lines.map((line) => (
            <div key={line.number} className={line.level === "error" ? "line error-level" : "line"}>
              <span className="quiet" title={exact(line.time)} style={{ flex: "none", paddingRight: 12 }}>
                {clock(line.time)}
              </span>
              <span>
                {line.level === "info" ? "" : `${line.level}: `}
                {line.text}
              </span>
            </div>
          ))}
        </div>
      )}
    </View>
  );
}

/** An item of an agent: its state and job, and the way to its drawer. */
function RunningItem({ id, onOpen }: { id: string; onOpen: () => void }) {
  const { data } = useQuery(itemQuery(id));
  return (
    <div className="row">
      {data && <State state={itemState(data)} note={data.phase ?? null} />}
      <button type="button" className="link" onClick={onOpen}>
        {data ? jobName(data) : <code>{id}</code>}
      </button>
      {data && (
        <span className="quiet">
          {data.author}, <Lasted from={data.leased_at ?? null} to={data.ended_at ?? null} />
        </span>
      )}
    </div>
  );
}

/** What a machine has to give, in words. */
export function machineOf(resources: object): string {
  const { cpus, memory_bytes: memory, gpus } = resources as { cpus?: number; memory_bytes?: number; gpus?: unknown[] | number };
  const graphics = Array.isArray(gpus) ? gpus.length : gpus;
  return [cpus ? count(cpus, "CPU") : "", memory ? bytes(memory) : "", graphics !== undefined ? count(graphics, "GPU") : ""].filter(Boolean).join(" · ");
}
