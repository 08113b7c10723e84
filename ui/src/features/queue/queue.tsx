import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useNavigate, useParams } from "react-router";
import { api } from "../../api/client";
import type { Queue } from "../../api/types";
import { useAddress } from "../../app/address";
import { useCommands } from "../../app/commands";
import { useMay } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Command, Tabs } from "../../components/parts";
import { say } from "../../components/notice";
import { State } from "../../components/state";
import { Failure, View } from "../../components/view";
import { agentCommand } from "../../format/text";
import { QueueAgents } from "./queue-agents";
import { QueueConfig } from "./queue-config";
import { QueueItems } from "./queue-items";
import { useQueueLaunch } from "./queue-launch";
import { QueueMonitor } from "./queue-monitor";
import { useQueueNow } from "./queue-now";
import { isLive, policyLine, queueState } from "./queue-state";
import { queryOfTab } from "./queue-tabs";

/** One queue: its items, agents, figures and configuration. */
export function Component() {
  const { entity = "", queue: name = "", tab = "items" } = useParams();
  const queue = useQueueNow(entity, name);
  const navigate = useNavigate();
  const [search] = useAddress();
  const [begin, launch] = useQueueLaunch(entity, name);
  // Nobody launches on what is not there, or where one only reads.
  const may = useMay(entity, "member");
  const missing = !may || (queue.isError && queue.data === undefined);
  useCommands(useMemo(() => (missing ? [] : [{ name: `Launch on ${name}`, hint: "Queue", run: begin }]), [missing, name, begin]));

  return (
    <>
      <PageHead
        title={name}
        action={
          <>
            {queue.data && <PauseButton queue={queue.data} />}
            {!missing && (
              <button type="button" className="button primary" onClick={begin}>
                Launch
              </button>
            )}
          </>
        }
      >
        {queue.data && (
          <>
            <State of="queue" state={queueState(queue.data)} />
            <span className="quiet">
              {queue.data.target ?? "target per item"} · {policyLine(queue.data.policy)}
            </span>
          </>
        )}
      </PageHead>
      <View query={queue} height={300}>
        {(data) => (
          <>
            <NoAgent queue={data} />
            <Tabs
              name="Queue"
              open={tab}
              onOpen={(key) => void navigate(`/launch/${entity}/${name}/${key}${queryOfTab(key, search)}`)}
              tabs={[
                { key: "items", name: "Items", body: () => <QueueItems queue={data} /> },
                { key: "agents", name: "Agents", body: () => <QueueAgents queue={data} /> },
                { key: "monitor", name: "Monitor", body: () => <QueueMonitor queue={data} /> },
                { key: "config", name: "Config", body: () => <QueueConfig queue={data} /> },
              ]}
            />
          </>
        )}
      </View>
      {!missing && launch}
    </>
  );
}

/** Nobody takes what waits: the command that changes it. */
function NoAgent({ queue }: { queue: Queue }) {
  if (queue.agents.some((agent) => isLive(agent.status))) return null;
  const silent = queue.agents.length > 0 && queue.agents.some((agent) => agent.status === "not_polling");
  return (
    <div style={{ padding: "0 16px 12px" }}>
      <div className="banner" data-tone="red" role="alert">
        <strong>{silent ? "Its agents are silent." : "No agent polls this queue."}</strong>
        <span>{silent ? "Nothing new is taken until one comes back. Start one:" : "Items wait until one does. Start it where the jobs should run:"}</span>
        <Command text={`export WANDB_BASE_URL=${location.origin}\n${agentCommand(queue.name, queue.entity)}`} />
      </div>
    </div>
  );
}

function PauseButton({ queue }: { queue: Queue }) {
  const queries = useQueryClient();
  const may = useMay(queue.entity, "admin");
  const paused = queue.policy.paused === true || queue.policy.draining === true;
  const path = { entity: queue.entity, queue: queue.name };
  const refresh = async () => {
    await queries.invalidateQueries({ queryKey: ["queue"] });
    await queries.invalidateQueries({ queryKey: ["queues"] });
  };
  const change = useMutation({
    mutationFn: async () =>
      paused ? api.POST("/api/v1/entities/{entity}/queues/{queue}/resume", { params: { path } }) : api.POST("/api/v1/entities/{entity}/queues/{queue}/pause", { params: { path } }),
    onSuccess: async () => {
      if (!paused)
        say(`${queue.name} is paused: nothing is handed out, what runs goes on.`, async () => {
          await api.POST("/api/v1/entities/{entity}/queues/{queue}/resume", { params: { path } });
          await refresh();
        });
      await refresh();
    },
  });
  if (!may) return null;
  return (
    <>
      {change.isError && <Failure error={change.error} />}
      <button type="button" className="button" disabled={change.isPending} onClick={() => change.mutate()}>
        {paused ? "Resume" : "Pause"}
      </button>
    </>
  );
}
