import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Fragment, useMemo, useState } from "react";
import { Link, useParams } from "react-router";
import { artifactFilesQuery, itemsQuery, jobDiffQuery, jobQuery, jobVersionQuery, jobVersionsQuery } from "../../api/queries";
import type { ArtifactFile, Item, JobVersion } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useCommands } from "../../app/commands";
import { PageHead } from "../../app/shell";
import { Ago, Command, Copy, Tabs } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Tree } from "../../components/tree";
import { Cut, Empty, More, View } from "../../components/view";
import { bytes, shortJson } from "../../format/text";
import { ItemDrawer } from "../item/item-drawer";
import { itemColumns } from "../item/item-columns";
import { LaunchDrawer } from "../launch/launch-drawer";
import { changedValues } from "./changes";
import { fieldsOf, shownValue } from "../launch/inputs";

interface Name {
  entity: string;
  project: string;
  name: string;
}

/** A job: what it is made of, its versions, its launches, its files. */
export function Component() {
  const { entity = "", project = "", name = "" } = useParams();
  const [search, change] = useAddress();
  const job = useQuery(jobQuery(entity, project, name));
  const version = search.get("version") ?? job.data?.latest?.version ?? "";
  const one = useQuery({ ...jobVersionQuery(entity, project, name, version), enabled: version !== "" });
  const [launching, setLaunching] = useState(search.get("launch") !== null);
  useCommands(useMemo(() => [{ name: `Launch ${name}`, hint: "Job", run: () => setLaunching(true) }], [name]));
  const set = (key: string, value: string | null) => change((params) => put(params, key, value));
  const path = { entity, project, name };
  return (
    <>
      <PageHead
        title={name}
        action={
          <button type="button" className="button primary" onClick={() => setLaunching(true)}>
            Launch
          </button>
        }
      >
        {one.data && (
          <>
            <span className="chip">{one.data.source_type}</span>
            <span className="chip">{one.data.version}</span>
            {one.data.aliases.map((alias) => (
              <span key={alias} className="chip">
                {alias}
              </span>
            ))}
            <span className="quiet cut">
              {one.data.python ? `Python ${one.data.python} · ` : ""}
              <code>{one.data.entrypoint.join(" ")}</code>
            </span>
          </>
        )}
      </PageHead>
      <View query={job} height={300}>
        {() => (
          <Tabs
            name="Job"
            open={search.get("tab") ?? "overview"}
            onOpen={(key) => set("tab", key)}
            tabs={[
              { key: "overview", name: "Overview", body: () => <View query={one} height={240}>{(data) => <Overview version={data} path={path} />}</View> },
              { key: "versions", name: "Versions", body: () => <Versions path={path} onVersion={(next) => set("version", next)} /> },
              { key: "launches", name: "Launches", body: () => <Launches path={path} /> },
              { key: "files", name: "Files", body: () => <View query={one} height={200}>{(data) => <Files version={data} />}</View> },
            ]}
          />
        )}
      </View>
      {launching && <LaunchDrawer job={`${entity}/${project}/${name}:${version || "latest"}`} onClose={() => setLaunching(false)} />}
    </>
  );
}

function Overview({ version, path }: { version: JobVersion; path: Name }) {
  const fields = useMemo(() => fieldsOf(version.inputs?.config), [version]);
  return (
    <div className="columns">
      <div className="stack">
        <h2>Inputs</h2>
        {fields.length > 0 ? (
          <Rows
            name="Inputs"
            rows={fields}
            id={(field) => field.path}
            columns={[
              { name: "Name", cell: (field) => <code>{field.path}</code> },
              { name: "Type", cell: (field) => (field.choices ? field.choices.map(shownValue).join(" | ") : field.type) },
              { name: "Default", cell: (field) => <code className="cut">{shownValue(field.default) || "–"}</code> },
              { name: "Range", wide: true, cell: (field) => field.range },
              { name: "Help", wide: true, cell: (field) => <span className="cut quiet">{field.help}</span> },
            ]}
          />
        ) : (
          <Empty>{version.inputs?.from === "unknown" ? "Known after the first run; until then every value is taken." : "It takes no inputs."}</Empty>
        )}
        <h2>Outputs</h2>
        {Object.keys(outputsOf(version.output_types)).length > 0 ? <Tree name="Outputs" value={outputsOf(version.output_types)} /> : <p className="quiet">Known after the first run.</p>}
        {(version.runs ?? []).length > 0 && (
          <>
            <h2>Runs</h2>
            <p className="row wrap">
              {(version.runs ?? []).slice(0, 50).map((run) => (
                <Link key={run} to={run.includes("/") ? runAddress(run) : `/${path.entity}/${path.project}/runs/${run}`}>
                  {run}
                </Link>
              ))}
            </p>
          </>
        )}
      </div>
      <div className="stack">
        <h2>Source</h2>
        <dl className="facts">
          <dt>Reference</dt>
          <dd>
            <code>{version.reference}</code> <Copy text={version.reference} what="Copy reference" />
          </dd>
          <dt>Made</dt>
          <dd>
            <Ago time={version.created_at} /> {version.author ? `by ${version.author}` : ""}
          </dd>
          {version.made_of && (
            <>
              <dt>Of run</dt>
              <dd>
                <Link to={version.made_of.includes("/") ? runAddress(version.made_of) : `/${path.entity}/${path.project}/runs/${version.made_of}`}>{version.made_of}</Link>
              </dd>
            </>
          )}
          <dt>Entry point</dt>
          <dd>
            <code>{version.entrypoint.join(" ") || "the image's"}</code>
          </dd>
        </dl>
        <Tree name="Source" value={version.source} />
        <h2>Dependencies</h2>
        {version.requirements.length > 0 ? (
          <pre className="diff" style={{ maxHeight: 260, padding: 10 }}>
            {version.requirements.join("\n")}
          </pre>
        ) : (
          <p className="quiet">None are listed.</p>
        )}
        <h2>From a terminal</h2>
        <Command text={`lanza launch -q default -j ${version.reference}`} />
      </div>
    </div>
  );
}

const runAddress = (run: string) => {
  const [entity, project, name] = run.split("/");
  return `/${entity}/${project}/runs/${name}`;
};

/** `{name: type}` of a type document. */
export function outputsOf(types: unknown): Record<string, string> {
  const map = (types as { params?: { type_map?: Record<string, { wb_type?: string }> } } | null)?.params?.type_map ?? {};
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, value.wb_type ?? "any"]));
}

function Versions({ path, onVersion }: { path: Name; onVersion: (version: string) => void }) {
  const versions = useQuery(jobVersionsQuery(path.entity, path.project, path.name));
  const list = versions.data ?? [];
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const a = from || (list[1]?.version ?? "");
  const b = to || (list[0]?.version ?? "");
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
        <div className="columns">
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
                {choose("From", a, setFrom)} → {choose("To", b, setTo)}
              </div>
              {a === b ? (
                <p className="quiet">The same version twice.</p>
              ) : (
                <View query={diff} height={140}>
                  {(data) => (
                    <div className="diff">
                      {data.changes.length + data.requirements_added.length + data.requirements_removed.length + (data.files ?? []).length === 0 && <div className="admin">They are the same.</div>}
                      {data.changes.flatMap((change) => changedValues(change.field, change.from, change.to)).map((change) => (
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
                      {data.requirements_removed.map((line) => (
                        <div key={line} className="remove">
                          - {line}
                        </div>
                      ))}
                      {data.requirements_added.map((line) => (
                        <div key={line} className="add">
                          + {line}
                        </div>
                      ))}
                      {(data.files ?? []).map((file) => (
                        <div key={file.path} className={file.change === "removed" ? "remove" : "add"}>
                          {file.change} {file.path}
                        </div>
                      ))}
                    </div>
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

function Launches({ path }: { path: Name }) {
  const [search, change] = useAddress();
  const items = useInfiniteQuery(itemsQuery({ job: `${path.entity}/${path.project}/${path.name}` }, 50));
  const list = items.data?.pages.flatMap((page) => page.items) ?? [];
  const open = search.get("item");
  const show = (id: string | null) => change((params) => put(params, "item", id));
  return (
    <>
      <View query={items} height={200} empty={() => (list.length === 0 ? <Empty>It was not launched yet.</Empty> : null)}>
        {() => (
          <Rows<Item>
            name="Launches"
            rows={list}
            id={(item) => item.id}
            onOpen={(item) => show(item.id)}
            open={open}
            columns={[itemColumns.state, itemColumns.run, itemColumns.job, itemColumns.queue, itemColumns.by, itemColumns.when, itemColumns.ran, itemColumns.cause]}
          />
        )}
      </View>
      <More shown={list.length} what="launches" more={items.hasNextPage ? () => void items.fetchNextPage() : null} loading={items.isFetchingNextPage} />
      {open && <ItemDrawer id={open} ids={list.map((item) => item.id)} onShow={show} />}
    </>
  );
}

/** The files of the job's code, when it has code. */
function Files({ version }: { version: JobVersion }) {
  const artifact = /_id\/([0-9a-f]+)/.exec(String((version.source as { artifact?: string } | null)?.artifact ?? ""))?.[1];
  const files = useQuery(artifactFilesQuery(artifact));
  if (!artifact) return <Empty>{version.source_type === "image" ? "An image job has no files here." : "The files are in its git repository."}</Empty>;
  return (
    <View query={files} height={200} empty={(list) => (list.length === 0 ? <Empty>Its code has no file.</Empty> : null)}>
      {(list) => (
        <>
          <Rows<ArtifactFile>
            name="Files"
            rows={list}
            id={(file) => file.path}
            columns={[
              { name: "Path", cell: (file) => <a href={file.url}>{file.path}</a> },
              { name: "Size", num: true, cell: (file) => bytes(file.size_bytes) },
            ]}
          />
          <Cut list={list} what="files" />
        </>
      )}
    </View>
  );
}
