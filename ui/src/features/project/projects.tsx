import { useQueries } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { projectsQuery } from "../../api/queries";
import type { Project } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Ago } from "../../components/parts";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Rows } from "../../components/rows";
import { Cut, Empty, Failure, Loading } from "../../components/view";
import { ProjectDrawer } from "./project-drawer";

const fields: Fields<Project> = { entity: (project) => project.entity, name: (project) => project.name, runs: (project) => project.runs, description: (project) => project.description };
const idOf = (project: Project) => `${project.entity}/${project.name}`;

/** The projects of the chosen entity, of all, or of the one in the address. */
export function Component() {
  const { entity } = useParams();
  const scope = useScope();
  const entities = entity ? [entity] : scope.entities;
  const found = useQueries({ queries: entities.map((name) => projectsQuery(name)) });
  const failed = found.find((query) => query.isError);
  const all = found.flatMap((query) => query.data ?? []);
  const filter = useListFilter("Filter projects", Object.keys(fields), { entity: valuesOf(all, fields).entity ?? [] });
  const shown = filter.keep(all, fields);
  const [search, change] = useAddress();
  const open = all.find((project) => idOf(project) === search.get("project"));
  const show = (id: string | null) => change((params) => put(params, "project", id));
  const pending = found.some((query) => query.isPending);
  return (
    <>
      <PageHead title={entity ?? "Projects"} />
      <div className="page-body">
        <div className="row wrap">{filter.bar}</div>
        {failed && <Failure error={failed.error} retry={() => void failed.refetch()} />}
        {pending ? (
          <Loading height={200} />
        ) : all.length === 0 && !failed ? (
          <Empty>
            No project yet. <code>wandb.init(project=&quot;first&quot;)</code> makes one.
          </Empty>
        ) : (
          <Rows<Project>
            name="Projects"
            rows={shown}
            id={idOf}
            onOpen={(project) => show(idOf(project))}
            open={open && idOf(open)}
            columns={[
              { name: "Project", cell: (project) => <Link to={`/${project.entity}/${project.name}`}>{project.name}</Link> },
              { name: "Entity", cell: (project) => project.entity },
              { name: "Runs", num: true, cell: (project) => project.runs.toLocaleString("en-US") },
              { name: "Description", wide: true, cell: (project) => <span className="cut quiet">{project.description}</span> },
              { name: "Made", wide: true, cell: (project) => <Ago time={project.created_at} /> },
            ]}
          />
        )}
        {all.length > 0 && filter.none(shown)}
        {found.map((query, index) => query.data && <Cut key={entities[index]} list={query.data} what={`projects of ${entities[index]}`} />)}
        {open && <ProjectDrawer project={open} id={idOf(open)} ids={shown.map(idOf)} onShow={show} />}
      </div>
    </>
  );
}
