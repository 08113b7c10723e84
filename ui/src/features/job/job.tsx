import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { Link, useParams } from "react-router";
import { artifactFilesQuery, itemsQuery, jobQuery, jobVersionQuery, queuesQuery } from "../../api/queries";
import type { ArtifactFile, Item, JobVersion } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useCommands } from "../../app/commands";
import { useMay } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Ago, Command, Copy, Id, Tabs } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Tree } from "../../components/tree";
import { Empty, More, View } from "../../components/view";
import { ArtifactFiles, FilePreview } from "../files/artifact-files";
import { putItem } from "../item/item-address";
import { ItemDrawer } from "../item/item-drawer";
import { itemColumns } from "../item/item-columns";
import { fieldsOf, shownValue } from "../launch/inputs";
import { LaunchDrawer, versionedJob } from "../launch/launch-drawer";
import { shellWord } from "../../format/text";
import { likely } from "../queue/queue-state";
import { codeOf, dockerfileOf, repositoryOf } from "./source";
import { type JobPath, Versions } from "./versions";

/** A job: what it is made of, its versions, its launches, its files. */
export function Component() {
  const { entity = "", project = "", name = "" } = useParams();
  const [search, change] = useAddress();
  const job = useQuery(jobQuery(entity, project, name));
  const version = search.get("version") ?? job.data?.latest?.version ?? "";
  const one = useQuery({ ...jobVersionQuery(entity, project, name, version), enabled: version !== "" });
  // The version that the drawer is open with; it may be another one than the page shows.
  const launch = search.get("launch");
  const begin = useCallback(() => change((params) => params.set("launch", params.get("version") ?? "latest")), [change]);
  // Nobody launches what is not there, or what one only reads.
  const may = useMay(entity, "member");
  const missing = !may || (job.isError && job.data === undefined);
  useCommands(useMemo(() => (missing ? [] : [{ name: `Launch ${name}`, hint: "Job", run: begin }]), [missing, name, begin]));
  const set = (key: string, value: string | null) => change((params) => put(params, key, value));
  const path = { entity, project, name };
  return (
    <>
      <PageHead
        title={name}
        action={
          !missing && (
            <button type="button" className="button primary" onClick={begin}>
              Launch
            </button>
          )
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
      {launch !== null && !missing && <LaunchDrawer job={versionedJob(`${entity}/${project}/${name}:latest`, launch || "latest")} onVersion={(next) => change((params) => params.set("launch", next), { replace: true })} onClose={() => set("launch", null)} />}
    </>
  );
}

function Overview({ version, path }: { version: JobVersion; path: JobPath }) {
  const fields = useMemo(() => fieldsOf(version.inputs?.config), [version]);
  const repository = repositoryOf(version);
  const dockerfile = dockerfileOf(version);
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
              {(version.runs ?? []).slice(0, RUNS).map((run) => (
                <Link key={run} to={run.includes("/") ? runAddress(run) : `/${path.entity}/${path.project}/runs/${run}`}>
                  {run}
                </Link>
              ))}
            </p>
            {(version.runs ?? []).length > RUNS && (
              <p className="quiet small">
                {RUNS} of {(version.runs ?? []).length.toLocaleString("en-US")} runs; the launches have all that were launched.
              </p>
            )}
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
          {repository && (
            <>
              <dt>Repository</dt>
              <dd>
                {repository.page ? <a href={repository.files ?? repository.page} target="_blank" rel="noreferrer">{repository.remote}</a> : <code>{repository.remote}</code>}
                {repository.commit && (
                  <>
                    {" "}
                    at <Id id={repository.commit} length={12} />
                  </>
                )}
              </dd>
            </>
          )}
          {dockerfile && (
            <>
              <dt>Dockerfile</dt>
              <dd>
                <code>{dockerfile}</code>
              </dd>
            </>
          )}
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
        <FromTerminal entity={path.entity} reference={version.reference} />
      </div>
    </div>
  );
}

/** Runs of a version that are named. */
const RUNS = 50;

/** The launch of a version on the queue that one would choose for it. */
function FromTerminal({ entity, reference }: { entity: string; reference: string }) {
  const queues = useQuery(queuesQuery([entity]));
  const queue = likely(queues.data ?? [], entity);
  if (queue) return <Command text={["lanza", "launch", "-q", queue.name, "-e", queue.entity, "-j", reference].map(shellWord).join(" ")} />;
  return queues.isSuccess ? (
    <p className="quiet">
      {entity} has no queue yet: <Link to="/launch">create one</Link>.
    </p>
  ) : null;
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

function Launches({ path }: { path: JobPath }) {
  const [search, change] = useAddress();
  const items = useInfiniteQuery(itemsQuery({ job: `${path.entity}/${path.project}/${path.name}` }, 50));
  const list = items.data?.pages.flatMap((page) => page.items) ?? [];
  const open = search.get("item");
  const show = (id: string | null) => change((params) => putItem(params, id));
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

/** The files of the job's code, its Dockerfile first; where they are when it has no code here. */
function Files({ version }: { version: JobVersion }) {
  const code = codeOf(version);
  const files = useQuery(artifactFilesQuery(code));
  const dockerfile = dockerfileOf(version);
  if (!code) return <Elsewhere version={version} dockerfile={dockerfile} />;
  return (
    <View query={files} height={200} empty={(list) => (list.length === 0 ? <Empty>Its code has no file.</Empty> : null)}>
      {(list) => (
        <>
          {dockerfile && <Dockerfile path={dockerfile} file={list.find((file) => file.path === dockerfile)} />}
          <ArtifactFiles files={list} />
        </>
      )}
    </View>
  );
}

function Dockerfile({ path, file }: { path: string; file: ArtifactFile | undefined }) {
  return (
    <section className="stack" style={{ gap: 8 }} aria-label="Dockerfile">
      <h2>
        Dockerfile {path !== "Dockerfile" && <code>{path}</code>}
      </h2>
      {file ? <FilePreview file={file} /> : <Empty>Its code has no such file: a launch of this version fails in its build.</Empty>}
    </section>
  );
}

function Elsewhere({ version, dockerfile }: { version: JobVersion; dockerfile: string | null }) {
  const repository = repositoryOf(version);
  if (!repository) return <Empty>An image job has no files here: they are in the image.</Empty>;
  return (
    <Empty>
      Its files are in the git repository {repository.page ? <a href={repository.page} target="_blank" rel="noreferrer">{repository.remote}</a> : <code>{repository.remote}</code>}
      {repository.commit && (
        <>
          {" "}
          at commit <code>{repository.commit}</code>
        </>
      )}
      . An agent fetches them there when it runs the job.
      {dockerfile && (
        <>
          {" "}
          Its Dockerfile is <code>{dockerfile}</code>.
        </>
      )}
      {repository.files && (
        <>
          {" "}
          <a href={repository.files} target="_blank" rel="noreferrer">
            Look at them there
          </a>
        </>
      )}{" "}
      {repository.commit && <Copy text={repository.commit} what="Copy commit" />}
    </Empty>
  );
}
