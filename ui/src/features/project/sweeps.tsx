import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { runGroupsQuery } from "../../api/queries";
import type { RunGroup } from "../../api/types";
import { Rows } from "../../components/rows";
import { Empty, View } from "../../components/view";
import { GroupStates } from "./group-states";

/** The sweeps that runs of a project belong to. */
export function Sweeps({ entity, project }: { entity: string; project: string }) {
  const groups = useQuery(runGroupsQuery(entity, project, ["sweep"], [], '{"sweep":{"$exists":true}}'));
  const address = (sweep: string) => `/${entity}/${project}?f=${encodeURIComponent(`sweep=${sweep}`)}`;
  const nameOf = (group: RunGroup) => String(group.values[0] ?? "");
  const none = (
    <Empty>
      No run belongs to a sweep. <code>wandb sweep sweep.yaml</code> makes one, <code>wandb agent</code> works on it.
    </Empty>
  );
  return (
    <View query={groups} height={160} empty={(list) => (list.some((group) => group.values[0]) ? null : none)}>
      {(list) => (
        <Rows<RunGroup>
          name="Sweeps"
          rows={list.filter((group) => group.values[0])}
          id={nameOf}
          columns={[
            { name: "Sweep", cell: (group) => <Link to={address(nameOf(group))}>{nameOf(group)}</Link> },
            { name: "Runs", num: true, cell: (group) => group.runs.toLocaleString("en-US") },
            { name: "States", cell: (group) => <GroupStates group={group} /> },
          ]}
        />
      )}
    </View>
  );
}
