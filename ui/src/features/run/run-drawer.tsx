/** A run over the list that it was opened from: how it goes, who and when, its main numbers, why it failed. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { itemQuery, runQuery } from "../../api/queries";
import type { Reason, Run } from "../../api/types";
import { Id } from "../../components/parts";
import { RowDrawer } from "../../components/row-drawer";
import { Sparkline } from "../../components/sparkline";
import { Failure, Loading } from "../../components/view";
import { metric, shortJson } from "../../format/text";
import { Cause } from "../item/cause";
import { jobAddress } from "../item/item-columns";
import { leaves } from "../launch/inputs";
import { byWeight, metricKeys, resultOf } from "../project/run-keys";
import { GoneRun, isGone } from "./gone";
import { RunActions } from "./run-actions";
import { RunFacts } from "./run-facts";

/** Numbers and settings that are shown; the page has all. */
const SHOWN = 12;

export interface RunName {
  entity: string;
  project: string;
  run: string;
}

export const runPage = ({ entity, project, run }: RunName) => `/${entity}/${project}/runs/${encodeURIComponent(run)}`;

/** `name` says which run of the list is open, `id` and `ids` are the list's own names for its rows. */
export function RunDrawer({ name, id, ids, onShow }: { name: RunName; id: string; ids: string[]; onShow: (id: string | null) => void }) {
  const run = useQuery(runQuery(name.entity, name.project, name.run));
  const gone = isGone(run);
  return (
    <RowDrawer
      what="run"
      name={`Run ${name.run}`}
      title={<Link to={runPage(name)}>{run.data?.name ?? name.run}</Link>}
      id={id}
      ids={ids}
      onShow={onShow}
      foot={run.data && !gone && <RunActions key={id} run={run.data} />}
    >
      {gone ? <GoneRun {...name} name={run.data?.name ?? name.run} /> : run.data ? <Body run={run.data} /> : run.isError ? <Failure error={run.error} retry={() => void run.refetch()} /> : <Loading height={300} />}
    </RowDrawer>
  );
}

function Body({ run }: { run: Run }) {
  const git = run.git as { remote?: string; commit?: string } | null | undefined;
  const numbers = byWeight(metricKeys([run]));
  const settings = leaves((run.exact ?? run).config).filter(([key]) => !key.startsWith("_"));
  const job = run.job ? jobAddress(run.job) : null;
  const page = runPage({ entity: run.entity, project: run.project, run: run.id });
  return (
    <>
      <CauseOfItem run={run} />
      <dl className="facts">
        <RunFacts run={run} />
        <dt>Id</dt>
        <dd>
          <Id id={run.id} length={24} />
        </dd>
        {run.job && (
          <>
            <dt>Job</dt>
            <dd>{job ? <Link to={job}>{run.job}</Link> : <code>{run.job}</code>}</dd>
          </>
        )}
        {git?.commit && (
          <>
            <dt>Commit</dt>
            <dd>
              <Id id={git.commit} length={12} />
            </dd>
          </>
        )}
        {run.tags.length > 0 && (
          <>
            <dt>Tags</dt>
            <dd className="row wrap">
              {run.tags.map((tag) => (
                <span key={tag} className="chip">
                  {tag}
                </span>
              ))}
            </dd>
          </>
        )}
        {run.notes && (
          <>
            <dt>Notes</dt>
            <dd>{run.notes.split("\n", 1)[0]}</dd>
          </>
        )}
      </dl>
      {numbers.length > 0 && (
        <section className="stack" style={{ gap: 8 }} aria-label="Results">
          <h3>Results</h3>
          <dl className="facts">
            {numbers.slice(0, SHOWN).map((key, index) => (
              <div key={key} style={{ display: "contents" }}>
                <dt>{key}</dt>
                <dd className="row">
                  <span className="num" style={{ minWidth: 64, textAlign: "left" }}>
                    {metric(resultOf(run, key))}
                  </span>
                  {index < 4 && <Sparkline run={run} name={key} />}
                </dd>
              </div>
            ))}
          </dl>
          {numbers.length > SHOWN && (
            <p className="quiet small">
              {SHOWN} of {numbers.length.toLocaleString("en-US")}; the <Link to={page}>charts</Link> have all.
            </p>
          )}
        </section>
      )}
      {settings.length > 0 && (
        <section className="stack" style={{ gap: 8 }} aria-label="Settings">
          <h3>Settings</h3>
          <dl className="facts">
            {settings.slice(0, SHOWN).map(([key, value]) => (
              <div key={key} style={{ display: "contents" }}>
                <dt>{key}</dt>
                <dd>
                  <code>{shortJson(value)}</code>
                </dd>
              </div>
            ))}
          </dl>
          {settings.length > SHOWN && (
            <p className="quiet small">
              {SHOWN} of {settings.length.toLocaleString("en-US")}; the <Link to={`${page}/overview`}>overview</Link> has all.
            </p>
          )}
        </section>
      )}
      <p className="row wrap">
        <Link to={page}>Charts</Link>
        <Link to={`${page}/log`}>Log</Link>
        <Link to={`${page}/files`}>Files</Link>
      </p>
    </>
  );
}

/** Why the item that launched the run failed, or was stopped. */
function CauseOfItem({ run }: { run: Run }) {
  const item = useQuery({ ...itemQuery(run.item ?? ""), enabled: Boolean(run.item) });
  const reason = (item.data?.reason ?? null) as Reason | null;
  if (!item.data || !reason) return null;
  return (
    <Cause reason={reason} state={item.data.state}>
      <Link to={`/launch/${item.data.entity}/${item.data.queue}/items?item=${item.data.id}`}>Its item</Link>
    </Cause>
  );
}
