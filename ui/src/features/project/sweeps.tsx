import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { runGroupsQuery } from "../../api/queries";
import type { RunGroup } from "../../api/types";
import { put, useAddress } from "../../app/address";
import type { Fields } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Rows } from "../../components/rows";
import { Empty, View } from "../../components/view";
import { GroupStates } from "./group-states";
import { SweepDrawer, sweepOf, sweepPage } from "./sweep-drawer";

const fields: Fields<RunGroup> = { state: (sweep) => Object.keys(sweep.states), name: sweepOf, runs: (sweep) => sweep.runs };

/** The sweeps that runs of a project belong to. */
export function Sweeps({ entity, project }: { entity: string; project: string }) {
  const groups = useQuery(runGroupsQuery(entity, project, ["sweep"], [], '{"sweep":{"$exists":true}}'));
  const sweeps = (groups.data ?? []).filter(sweepOf);
  const filter = useListFilter("Filter sweeps", Object.keys(fields), { state: [...new Set(sweeps.flatMap((sweep) => Object.keys(sweep.states)))] });
  const shown = filter.keep(sweeps, fields);
  const [search, change] = useAddress();
  const open = sweeps.find((sweep) => sweepOf(sweep) === search.get("sweep"));
  const show = (name: string | null) => change((params) => put(params, "sweep", name));
  return (
    <View query={groups} height={160}>
      {() => (
        <>
          <div className="row wrap">{filter.bar}</div>
          <Rows<RunGroup>
            name="Sweeps"
            rows={shown}
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
          {filter.none(shown)}
          {open && <SweepDrawer entity={entity} project={project} sweep={open} ids={shown.map(sweepOf)} onShow={show} />}
        </>
      )}
    </View>
  );
}
