import { queryOptions, useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { api, got } from "../../api/client";
import { jobsQuery } from "../../api/queries";
import type { Job } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { type Fields, valuesOf } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Ago } from "../../components/parts";
import { Rows } from "../../components/rows";
import { itemState, State } from "../../components/state";
import { Cut, Empty, View } from "../../components/view";
import { JobDrawer } from "../job/job-drawer";

const sources: Record<string, string> = { code: "code", artifact: "code", git: "git", repo: "git", image: "image" };

const fields: Fields<Job> = {
  source: (job) => sources[job.latest?.source_type ?? ""] ?? job.latest?.source_type,
  name: (job) => job.name,
  alias: (job) => job.latest?.aliases,
  python: (job) => job.latest?.python,
  versions: (job) => job.versions,
};

/** The jobs of a project with what became of their launches. */
export function Jobs({ entity, project }: { entity: string; project: string }) {
  const jobs = useQuery(jobsQuery(entity, project));
  const filter = useListFilter("Filter jobs", Object.keys(fields), valuesOf(jobs.data ?? [], fields));
  const [search, change] = useAddress();
  const open = search.get("job");
  const show = (name: string | null) =>
    change((params) => {
      put(params, "job", name);
      params.delete("launch");
    });
  const shown = filter.keep(jobs.data ?? [], fields);
  return (
    <View query={jobs} height={200}>
      {(list) => (
        <>
          {list.length > 0 && <div className="row wrap">{filter.bar}</div>}
          <Rows<Job>
            name="Jobs"
            rows={shown}
            id={(job) => job.name}
            onOpen={(job) => show(job.name)}
            empty={
              list.length === 0 && (
                <Empty>
                  No job yet. A finished run with logged code or a git commit makes one; so does <code>lanza job create code train.py -p {project}</code>.
                </Empty>
              )
            }
            open={open}
            columns={[
              { name: "Job", cell: (job) => <Link to={`/${entity}/${project}/jobs/${encodeURIComponent(job.name)}`}>{job.name}</Link> },
              { name: "Source", wide: true, cell: (job) => sources[job.latest?.source_type ?? ""] ?? job.latest?.source_type ?? "–" },
              { name: "Latest", cell: (job) => job.latest?.version ?? "–" },
              { name: "Aliases", wide: true, cell: (job) => job.latest?.aliases.map((alias) => <span key={alias} className="chip">{alias}</span>) },
              { name: "Versions", num: true, wide: true, cell: (job) => job.versions },
              { name: "Last launch", cell: (job) => <LastLaunch job={job} /> },
              { name: "30 days", num: true, wide: true, cell: (job) => <Launches job={job} /> },
              { name: "Python", wide: true, cell: (job) => job.latest?.python ?? "–" },
              { name: "Changed", wide: true, cell: (job) => <Ago time={job.latest?.created_at ?? job.created_at} /> },
            ]}
          />
          {list.length > 0 && filter.none(shown)}
          <Cut list={list} what="jobs" />
          {open && <JobDrawer entity={entity} project={project} name={open} ids={shown.map((job) => job.name)} onShow={show} />}
        </>
      )}
    </View>
  );
}


/** Launches that are counted at most. */
const COUNTED = 100;

const launchesQuery = (job: Job) =>
  queryOptions({
    queryKey: ["items", "of", job.entity, job.project, job.name],
    queryFn: async () => (await got(api.GET("/api/v1/items", { params: { query: { job: `${job.entity}/${job.project}/${job.name}`, limit: COUNTED } } }))).items,
    staleTime: 15_000,
  });

function LastLaunch({ job }: { job: Job }) {
  const { data } = useQuery(launchesQuery(job));
  const last = data?.[0];
  if (!last) return <span className="quiet">{data ? "none" : ""}</span>;
  return (
    <Link to={`/launch/${last.entity}/${last.queue}/items?item=${last.id}`} className="row" style={{ gap: 6 }}>
      <State state={itemState(last)} /> <Ago time={last.created_at} />
    </Link>
  );
}

function Launches({ job }: { job: Job }) {
  const { data } = useQuery(launchesQuery(job));
  // Rows are drawn anew often enough for a month's border.
  // eslint-disable-next-line react-hooks/purity
  const since = Date.now() - 30 * 86_400_000;
  const recent = data?.filter((item) => Date.parse(item.created_at) >= since).length;
  return <>{recent === undefined ? "" : recent >= COUNTED ? `${COUNTED}+` : recent}</>;
}
