import { useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { projectsQuery } from "../../api/queries";
import type { Project } from "../../api/types";
import { useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Ago } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Cut, Empty, Failure, Loading } from "../../components/view";

/** The projects of the chosen entity, of all, or of the one in the address. */
export function Component() {
  const { entity } = useParams();
  const scope = useScope();
  const entities = entity ? [entity] : scope.entities;
  const found = useQueries({ queries: entities.map((name) => projectsQuery(name)) });
  const [text, setText] = useState("");
  const failed = found.find((query) => query.isError);
  const all = found.flatMap((query) => query.data ?? []);
  const shown = all.filter((project) => `${project.entity}/${project.name}`.toLowerCase().includes(text.toLowerCase()));
  const pending = found.some((query) => query.isPending);
  return (
    <>
      <PageHead title={entity ?? "Projects"} />
      <div className="page-body">
        <input className="input" style={{ maxWidth: 320 }} type="search" data-filter aria-label="Filter projects" placeholder="Filter  /" value={text} onChange={(event) => setText(event.target.value)} />
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
            id={(project) => project.id}
            columns={[
              { name: "Project", cell: (project) => <Link to={`/${project.entity}/${project.name}`}>{project.name}</Link> },
              { name: "Entity", cell: (project) => project.entity },
              { name: "Runs", num: true, cell: (project) => project.runs.toLocaleString("en-US") },
              { name: "Description", wide: true, cell: (project) => <span className="cut quiet">{project.description}</span> },
              { name: "Made", wide: true, cell: (project) => <Ago time={project.created_at} /> },
            ]}
          />
        )}
        {found.map((query, index) => query.data && <Cut key={entities[index]} list={query.data} what={`projects of ${entities[index]}`} />)}
      </div>
    </>
  );
}
