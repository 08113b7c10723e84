import { Navigate, useParams } from "react-router";
import { PageHead } from "../../app/shell";
import { useTabs } from "../../app/tabs";
import { Tabs } from "../../components/parts";
import { Artifacts } from "./artifacts";
import { Jobs } from "./jobs";
import { Runs } from "./runs";
import { sweepPage } from "./sweep-drawer";
import { Sweeps } from "./sweeps";

/** A project: runs, jobs, artifacts, sweeps. */
export function Component() {
  const { entity = "", project = "", tab, sweep } = useParams();
  const open = tab ?? "runs";
  const show = useTabs(`/${entity}/${project}`, "runs", open);
  // The page of a sweep, as the client prints its address, is its runs beside their charts.
  if (sweep) return <Navigate to={sweepPage(entity, project, sweep)} replace />;
  return (
    <>
      <PageHead title={project} />
      <Tabs
        name="Project"
        open={open}
        onOpen={show}
        tabs={[
          { key: "runs", name: "Runs", body: () => <Runs entity={entity} project={project} /> },
          { key: "jobs", name: "Jobs", body: () => <Jobs entity={entity} project={project} /> },
          { key: "artifacts", name: "Artifacts", body: () => <Artifacts entity={entity} project={project} /> },
          { key: "sweeps", name: "Sweeps", body: () => <Sweeps entity={entity} project={project} /> },
        ]}
      />
    </>
  );
}
