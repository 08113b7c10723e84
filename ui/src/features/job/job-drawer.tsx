/** A job over the list of jobs: what it is made of, what it takes, how its launches went. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { itemsQuery, jobQuery } from "../../api/queries";
import type { Item, Job } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMay } from "../../app/scope";
import { Ago, Copy } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Rows } from "../../components/rows";
import { Empty, Failure, Loading, View } from "../../components/view";
import { itemColumns } from "../item/item-columns";
import { fieldsOf, shownValue } from "../launch/inputs";
import { LaunchDrawer, versionedJob } from "../launch/launch-drawer";

/** Launches that are shown; the page has all. */
const LAUNCHES = 5;

const jobPage = (entity: string, project: string, name: string) => `/${entity}/${project}/jobs/${encodeURIComponent(name)}`;

export function JobDrawer({ entity, project, name, ids, onShow }: { entity: string; project: string; name: string; ids: string[]; onShow: (name: string | null) => void }) {
  const job = useQuery(jobQuery(entity, project, name));
  const [search, change] = useAddress();
  const launch = search.get("launch");
  const may = useMay(entity, "member");
  const setLaunch = (version: string | null, replace = false) => change((params) => put(params, "launch", version), { replace });
  return (
    <RowDrawer
      what="job"
      name={`Job ${name}`}
      title={<Link to={jobPage(entity, project, name)}>{name}</Link>}
      id={name}
      ids={ids}
      onShow={onShow}
      foot={
        may && (
          <button type="button" className="button primary" disabled={!job.data?.latest} onClick={() => setLaunch("latest")}>
            Launch
          </button>
        )
      }
    >
      {job.data ? <Body job={job.data} /> : job.isError ? <Failure error={job.error} retry={() => void job.refetch()} /> : <Loading height={300} />}
      {launch && job.data && <LaunchDrawer job={versionedJob(`${entity}/${project}/${name}:latest`, launch)} onVersion={(version) => setLaunch(version, true)} onClose={() => setLaunch(null)} />}
    </RowDrawer>
  );
}

function Body({ job }: { job: Job }) {
  const latest = job.latest;
  const fields = useMemo(() => fieldsOf(latest?.inputs?.config), [latest]);
  const items = useInfiniteQuery(itemsQuery({ job: `${job.entity}/${job.project}/${job.name}` }, LAUNCHES));
  const list = items.data?.pages[0]?.items ?? [];
  const page = jobPage(job.entity, job.project, job.name);
  if (!latest) return <Empty>It has no version yet.</Empty>;
  return (
    <>
      <dl className="facts">
        <dt>Latest</dt>
        <dd className="row wrap">
          {latest.version}
          {latest.aliases.map((alias) => (
            <span key={alias} className="chip">
              {alias}
            </span>
          ))}
          {job.versions > 1 && <Link to={`${page}?tab=versions`}>of {job.versions} versions</Link>}
        </dd>
        <dt>Made</dt>
        <dd>
          <Ago time={latest.created_at} /> {latest.author ? `by ${latest.author}` : ""}
        </dd>
        <dt>Source</dt>
        <dd>
          <Link to={`${page}?tab=files`}>{latest.source_type}</Link>
          {latest.python ? `, Python ${latest.python}` : ""}
        </dd>
        <dt>Entry point</dt>
        <dd>
          <code>{latest.entrypoint.join(" ") || "the image's"}</code>
        </dd>
        <dt>Reference</dt>
        <dd>
          <code>{latest.reference}</code> <Copy text={latest.reference} what="Copy reference" />
        </dd>
        {job.description && (
          <>
            <dt>Description</dt>
            <dd>{job.description}</dd>
          </>
        )}
      </dl>
      <section className="stack" style={{ gap: 8 }} aria-label="Inputs">
        <h3>Inputs</h3>
        {fields.length === 0 && <p className="quiet">{latest.inputs?.from === "unknown" ? "Known after the first run." : "It takes none."}</p>}
        <dl className="facts">
          {fields.slice(0, 12).map((field) => (
            <div key={field.path} style={{ display: "contents" }}>
              <dt>{field.path}</dt>
              <dd>
                <code>{shownValue(field.default) || field.type}</code> <span className="quiet small">{field.range}</span>
              </dd>
            </div>
          ))}
        </dl>
        {fields.length > 12 && (
          <p className="quiet small">
            12 of {fields.length}; the <Link to={page}>page</Link> has all.
          </p>
        )}
      </section>
      <section className="stack" style={{ gap: 8 }} aria-label="Last launches">
        <h3>Last launches</h3>
        <View query={items} height={120} empty={() => (list.length === 0 ? <Empty>It was not launched yet.</Empty> : null)}>
          {() => <Rows<Item> name="Last launches" rows={list.slice(0, LAUNCHES)} id={(item) => item.id} columns={[itemColumns.state, itemColumns.run, itemColumns.by, itemColumns.when, itemColumns.cause]} />}
        </View>
        {list.length > 0 && <Link to={`${page}?tab=launches`}>All launches</Link>}
      </section>
    </>
  );
}
