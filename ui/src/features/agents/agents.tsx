import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { agentsQuery, NEWEST_AGENTS } from "../../api/queries";
import { useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Command } from "../../components/parts";
import { Empty, View } from "../../components/view";
import { AgentTable } from "./agent-table";

/** All agents of the chosen entity, or of all. */
export function Component() {
  const { entities, one } = useScope();
  const agents = useQuery(agentsQuery(entities));
  const [text, setText] = useState("");
  const fits = (words: string) => words.toLowerCase().includes(text.toLowerCase());
  return (
    <>
      <PageHead title="Agents" />
      <div className="page-body">
        <input className="input" style={{ maxWidth: 320 }} type="search" data-filter aria-label="Filter agents" placeholder="Filter  /" value={text} onChange={(event) => setText(event.target.value)} />
        <View
          query={agents}
          height={200}
          empty={(all) => (all.length === 0 ? <Empty action={<Command text={`lanza agent -q default -e ${one}`} />}>No agent has registered. Start one where jobs should run:</Empty> : null)}
        >
          {(all) => (
            <>
              <AgentTable agents={all.filter((agent) => fits([agent.name, agent.host, agent.status, agent.id, agent.entity, ...agent.queues].join(" ")))} />
              {all.length >= NEWEST_AGENTS && <p className="quiet">Of the agents that ended, the newest are shown.</p>}
            </>
          )}
        </View>
      </div>
    </>
  );
}
