import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, got } from "../../api/client";
import { Command } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Empty, View } from "../../components/view";

const secretsQuery = queryOptions({ queryKey: ["secrets"], queryFn: async () => (await got(api.GET("/api/v1/secrets"))).items });

/** Names of secrets that queues refer to. Their values live with the agents and never come here. */
export function Secrets() {
  const secrets = useQuery(secretsQuery);
  return (
    <>
      <p className="quiet" style={{ maxWidth: "76ch" }}>
        A configuration names a secret as <code>secret:NAME</code>; the agent that starts the job looks it up. This server knows the names only.
      </p>
      <View query={secrets} height={120} empty={(list) => (list.length === 0 ? <Empty>No queue of yours names a secret.</Empty> : null)}>
        {(list) => <Rows<string> name="Secrets" rows={list} id={(name) => name} columns={[{ name: "Name", cell: (name) => <code>{name}</code> }, { name: "In a configuration", cell: (name) => <code className="quiet">secret:{name}</code> }]} />}
      </View>
      <h2>For agents</h2>
      <Command text={"# launch-config.yaml of the agent\nlanza:\n  secrets:\n    NAME: {env: VARIABLE_OF_THE_AGENT}"} what="Copy example" />
    </>
  );
}
