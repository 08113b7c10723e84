import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { runGroupsQuery } from "../../api/queries";
import type { RunGroup } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { Rows } from "../../components/rows";
import { Empty, View } from "../../components/view";
import { GroupStates } from "./group-states";
import { SweepDrawer, sweepOf, sweepPage } from "./sweep-drawer";

/** The sweeps that runs of a project belong to. */
export function Sweeps({ entity, project }: { entity: string; project: string }) {
  const groups = useQuery(runGroupsQuery(entity, project, ["sweep"], [], '{"sweep":{"$exists":true}}'));
  const sweeps = (groups.data ?? []).filter(sweepOf);
  const [search, change] = useAddress();
  const open = sweeps.find((sweep) => sweepOf(sweep) === search.get("sweep"));
  const show = (name: string | null) => change((params) => put(params, "sweep", name));
  return (
    <View query={groups} height={160}>
      {() => (
        <>
          <Rows<RunGroup>
            name="Sweeps"
            rows={sweeps}
            id={sweepOf}
            onOpen={(sweep) => show(sweepOf(sweep))}
            open={open && sweepOf(open)}
            empty={
              <Empty>
                No run belongs to a sweep. A run does when <code>WANDB_SWEEP_ID</code> is set where it starts.
              </Empty>
            }
            columns={[
              { name: "Sweep", cell: (sweep) => <Link to={sweepPage(entity, project, sweepOf(sweep))}>{sweepOf(sweep)}</Link> },
              { name: "Runs", num: true, cell: (sweep) => sweep.runs.toLocaleString("en-US") },
              { name: "States", cell: (sweep) => <GroupStates group={sweep} /> },
            ]}
          />
          {open && <SweepDrawer entity={entity} project={project} sweep={open} ids={sweeps.map(sweepOf)} onShow={show} />}
        </>
      )}
    </View>
  );
}
