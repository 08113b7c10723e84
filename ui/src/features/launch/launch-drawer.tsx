import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { jobQuery, jobsQuery, jobVersionQuery, jobVersionsQuery, projectsQuery } from "../../api/queries";
import type { Item, JsonObject } from "../../api/types";
import { useScope } from "../../app/scope";
import { Dialog } from "../../components/parts";
import { Failure, Loading } from "../../components/view";
import { type DraftState, useDraft } from "./draft";
import { LaunchForm } from "./launch-form";

export interface JobName {
  entity: string;
  project: string;
  name: string;
  version: string;
}

/** `e/p/name:vN` in its parts. */
export function jobParts(job: string | null): JobName | null {
  const found = /^([^/]+)\/([^/]+)\/([^/:]+)(?::(.+))?$/.exec(job ?? "");
  return found ? { entity: found[1]!, project: found[2]!, name: found[3]!, version: found[4] ?? "latest" } : null;
}

/** A job in another version, as addresses name it: `same` leaves what the reference says. */
export function versionedJob(job: string | null, version: string): string | null {
  const parts = jobParts(job);
  return parts && version !== "same" ? `${parts.entity}/${parts.project}/${parts.name}:${version}` : job;
}

export interface LaunchProps {
  /** `e/p/name[:version]`, or null to choose one. */
  job: string | null;
  /** An item whose values the form begins with. */
  from?: Item;
  /** Inputs that the form begins with: a run's config. */
  inputs?: JsonObject;
  queue?: { entity: string; name: string };
  /** Hears which job and version is chosen, for the address. What is typed stays out of it: it may be a secret. */
  onJob?: (job: string) => void;
  onVersion?: (version: string) => void;
  onClose: () => void;
  /** Where to go with the new item; its drawer on the queue's page otherwise. */
  onLaunched?: (id: string) => void;
}

/** The launch drawer: choose, fill in, see what will run, send. A refused launch keeps everything that was typed. */
export function LaunchDrawer(props: LaunchProps) {
  const given = jobParts(props.job);
  const image = !props.job && props.from ? ((props.from.source?.image as string | undefined) ?? null) : null;
  const [job, setJob] = useState<JobName | null>(given);
  const draft = useDraft(props.from, props.queue);
  const title = job ? `Launch ${job.name}` : image ? `Launch ${image}` : "Launch a job";
  if (!job && !image) {
    return (
      <Dialog kind="drawer" title={title} name={title} onClose={props.onClose}>
        <ChooseJob
          onChoose={(chosen) => {
            setJob(chosen);
            props.onJob?.(`${chosen.entity}/${chosen.project}/${chosen.name}:${chosen.version}`);
          }}
          entity={props.queue?.entity}
        />
      </Dialog>
    );
  }
  if (job) return <OfJob {...props} title={title} job={job} draft={draft} />;
  return <LaunchForm {...props} title={title} job={null} image={image} draft={draft} version={null} versions={[]} chosen="" onVersion={() => undefined} waiting={false} />;
}

/** Projects whose jobs are listed, and jobs that are drawn. */
const PROJECTS = 50;
const JOBS = 100;

function ChooseJob({ onChoose, entity }: { onChoose: (job: JobName) => void; entity: string | undefined }) {
  const { one } = useScope();
  const owner = entity ?? one;
  const projects = useQuery(projectsQuery(owner));
  const jobs = useQueries({ queries: (projects.data ?? []).slice(0, PROJECTS).map((project) => jobsQuery(project.entity, project.name)) });
  const all = jobs.flatMap((query) => query.data ?? []);
  const [text, setText] = useState("");
  if (projects.isError) return <Failure error={projects.error} retry={() => void projects.refetch()} />;
  if (projects.isPending || jobs.some((query) => query.isPending)) return <Loading />;
  if (all.length === 0 && projects.data.length <= PROJECTS)
    return (
      <div className="empty">
        {owner} has no job yet. A finished run makes one, and so does <code>lanza job create</code>.
      </div>
    );
  const fit = all.filter((job) => `${job.project}/${job.name}`.toLowerCase().includes(text.toLowerCase()));
  return (
    <>
      <input className="input" type="search" aria-label="Filter jobs" placeholder="Filter" value={text} onChange={(event) => setText(event.target.value)} />
      <ul className="stack" style={{ gap: 4 }} aria-label="Jobs">
        {fit.slice(0, JOBS).map((job) => (
          <li key={`${job.project}/${job.name}`}>
            <button type="button" className="button" style={{ width: "100%", justifyContent: "space-between" }} onClick={() => onChoose({ entity: job.entity, project: job.project, name: job.name, version: "latest" })}>
              <span className="cut">{job.name}</span>
              <span className="quiet">
                {job.project} · {job.latest?.version ?? "–"}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {fit.length > JOBS && (
        <p className="quiet small" role="note">
          The first {JOBS} of {fit.length.toLocaleString("en-US")} jobs are listed: type a part of a name to find others.
        </p>
      )}
      {projects.data.length > PROJECTS && (
        <p className="quiet small" role="note">
          The jobs of {PROJECTS} of {projects.data.length.toLocaleString("en-US")} projects are listed. Others are launched from their own pages.
        </p>
      )}
    </>
  );
}

function OfJob(props: Omit<LaunchProps, "job"> & { title: string; job: JobName; draft: DraftState }) {
  const { job } = props;
  const [version, setVersion] = useState(job.version);
  const choose = (next: string) => {
    setVersion(next);
    props.onVersion?.(next);
    props.onJob?.(`${job.entity}/${job.project}/${job.name}:${next}`);
  };
  const found = useQuery(jobQuery(job.entity, job.project, job.name));
  const versions = useQuery(jobVersionsQuery(job.entity, job.project, job.name));
  // The form stays until the other version is there.
  const one = useQuery({ ...jobVersionQuery(job.entity, job.project, job.name, version), placeholderData: keepPreviousData });
  const failed = found.error ?? versions.error ?? one.error;
  if (failed || !one.data || !versions.data) {
    return (
      <Dialog kind="drawer" title={props.title} name={props.title} onClose={props.onClose}>
        {failed ? <Failure error={failed} retry={() => void Promise.all([found.refetch(), versions.refetch(), one.refetch()])} /> : <Loading height={320} />}
      </Dialog>
    );
  }
  return <LaunchForm key={one.data.id} {...props} image={null} version={one.data} versions={versions.data} chosen={version} onVersion={choose} waiting={one.isPlaceholderData} />;
}
