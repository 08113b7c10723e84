import { useQuery } from "@tanstack/react-query";
import { Fragment } from "react";
import { jobDiffQuery, jobVersionsQuery } from "../../api/queries";
import type { JobDiff, JobVersion } from "../../api/types";
import { useAddress } from "../../app/address";
import { Ago } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Cut, Empty, View } from "../../components/view";
import { shortJson } from "../../format/text";
import { changedValues } from "./changes";
import { FileDiffs } from "./file-diffs";

export interface JobPath {
  entity: string;
  project: string;
  name: string;
}

/** The versions of a job, and what differs between two of them. Which two is in the address. */
export function Versions({ path, onVersion }: { path: JobPath; onVersion: (version: string) => void }) {
  const versions = useQuery(jobVersionsQuery(path.entity, path.project, path.name));
  const list = versions.data ?? [];
  const [search, change] = useAddress();
  const a = search.get("from") ?? list[1]?.version ?? "";
  const b = search.get("to") ?? list[0]?.version ?? "";
  const set = (key: "from" | "to") => (version: string) => change((params) => params.set(key, version), { replace: true });
  const diff = useQuery(jobDiffQuery(path.entity, path.project, path.name, a, b));
  const choose = (label: string, value: string, onValue: (value: string) => void) => (
    <select className="select" style={{ width: 130 }} aria-label={label} value={value} onChange={(event) => onValue(event.target.value)}>
      {list.map((one) => (
        <option key={one.id}>{one.version}</option>
      ))}
    </select>
  );
  return (
    <View query={versions} height={200}>
      {() => (
        <div className="columns right">
          <Rows<JobVersion>
            name="Versions"
            rows={list}
            id={(one) => one.id}
            columns={[
              {
                name: "Version",
                cell: (one) => (
                  <button type="button" className="link" onClick={() => onVersion(one.version)}>
                    {one.version}
                  </button>
                ),
              },
              { name: "Aliases", cell: (one) => one.aliases.map((alias) => <span key={alias} className="chip">{alias}</span>) },
              { name: "Source", wide: true, cell: (one) => one.source_type },
              { name: "By", wide: true, cell: (one) => one.author ?? "–" },
              { name: "Made", cell: (one) => <Ago time={one.created_at} /> },
            ]}
          />
          <Cut list={list} what="versions" />
          {list.length < 2 ? (
            <Empty>A second version can be compared with this one.</Empty>
          ) : (
            <section className="stack" aria-label="Difference">
              <div className="row">
                {choose("From", a, set("from"))} → {choose("To", b, set("to"))}
              </div>
              {a === b ? (
                <p className="quiet">The same version twice.</p>
              ) : (
                <View query={diff} height={140}>
                  {(data) => (
                    <>
                      <Changes diff={data} />
                      <FileDiffs path={path} from={a} to={b} changes={data.files ?? []} />
                    </>
                  )}
                </View>
              )}
            </section>
          )}
        </div>
      )}
    </View>
  );
}

/** The values and the packages that differ. */
function Changes({ diff }: { diff: JobDiff }) {
  const values = diff.changes.flatMap((change) => changedValues(change.field, change.from, change.to));
  const packages = diff.requirements_added.length + diff.requirements_removed.length;
  const files = diff.files ?? [];
  if (values.length + packages === 0) return files.length > 0 ? null : <p className="quiet">They are the same.</p>;
  return (
    <div className="diff">
      {values.map((change) => (
        <Fragment key={change.path}>
          {change.from !== undefined && (
            <div className="remove">
              - {change.path} = {shortJson(change.from)}
            </div>
          )}
          {change.to !== undefined && (
            <div className="add">
              + {change.path} = {shortJson(change.to)}
            </div>
          )}
        </Fragment>
      ))}
      {diff.requirements_removed.map((line) => (
        <div key={line} className="remove">
          - {line}
        </div>
      ))}
      {diff.requirements_added.map((line) => (
        <div key={line} className="add">
          + {line}
        </div>
      ))}
    </div>
  );
}
