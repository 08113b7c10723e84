import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { Link } from "react-router";
import { api, got } from "../../api/client";
import { agentsQuery, isEnded, itemQuery } from "../../api/queries";
import type { Item, JsonObject, Reason } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useCommands } from "../../app/commands";
import { useMay, useMe } from "../../app/scope";
import { Ago, Command, Confirm, Copy, Id, IconButton, Lasted, useTick } from "../../components/parts";
import { say } from "../../components/notice";
import { RowDrawer } from "../../components/row-drawer";
import { itemState, State } from "../../components/state";
import { Failure, Loading } from "../../components/view";
import { Log } from "../../components/log";
import { Tree } from "../../components/tree";
import { agentCommand, duration, exact, shellWord } from "../../format/text";
import { launchCommand } from "../launch/inputs";
import { LaunchDrawer, versionedJob } from "../launch/launch-drawer";
import { Cause } from "./cause";
import { itemLink, placeOf, putPlace } from "./item-address";
import { jobAddress } from "./item-columns";
import { phaseBars } from "./phases";

/** An item over the list that it was opened from: what it does, why, and what can be done. ↑ and ↓ go to its neighbours. The
    attempt and the phase that one looks at are in the address, so that a link to a line of a log names the log. */
export function ItemDrawer({ id, ids = [], onShow }: { id: string; ids?: string[]; onShow: (id: string | null) => void }) {
  const item = useQuery(itemQuery(id));
  return (
    <RowDrawer wide what="item" name={`Item ${id}`} id={id} ids={ids} onShow={onShow} title={item.data ? <Title item={item.data} /> : "Item"} foot={item.data && <Actions key={id} item={item.data} onShow={onShow} />}>
      {item.data ? <Body item={item.data} /> : item.isError ? <Failure error={item.error} retry={() => void item.refetch()} /> : <Loading height={300} />}
    </RowDrawer>
  );
}

function Title({ item }: { item: Item }) {
  return (
    <span className="row wrap">
      <State state={itemState(item)} note={item.exit_code !== null && item.exit_code !== undefined && item.exit_code !== 0 ? `exit ${item.exit_code}` : item.signal ? `signal ${item.signal}` : item.phase && !isEnded(item.state) ? `in ${item.phase}` : null} />
      <Lasted from={item.leased_at ?? item.created_at} to={item.ended_at} />
      {item.run && (
        <Link className="small" to={`/${item.entity}/${item.project}/runs/${item.run}`}>
          Open the run
        </Link>
      )}
    </span>
  );
}

function Body({ item }: { item: Item }) {
  const attempts = item.attempts;
  const [search, change] = useAddress();
  const place = placeOf(search);
  const live = !isEnded(item.state);
  useTick(live ? 1000 : null);
  const number = Math.min(place.attempt ?? item.attempt, item.attempt);
  const look = (attempt: number, phase: string | null) => change((params) => putPlace(params, { attempt: attempt === item.attempt ? null : attempt, phase }), { replace: true });
  const attempt = attempts.find((one) => one.number === number);
  const current = number === item.attempt;
  // Bars grow while the phase lasts; the tick above draws them again.
  // eslint-disable-next-line react-hooks/purity
  const bars = phaseBars(attempt, { ...item, number, phase: current && !live ? (item.phase ?? null) : null }, Date.now());
  const phases = attempt?.phases ?? [];
  const opened = place.phase && phases.some((one) => one.name === place.phase) ? place.phase : defaultPhase(item, phases.map((one) => one.name), current);
  const reason = ((current ? item.reason : attempt?.reason) ?? null) as Reason | null;
  const job = item.job ? jobAddress(item.job) : null;
  const command = commandOf(item);

  return (
    <>
      {item.warnings.map((warning) => (
        <div key={warning} className="banner" data-tone="amber">
          {warning}
        </div>
      ))}
      {reason && <Cause reason={reason} state={item.state} />}
      {!reason && item.why && live && (
        <div className="banner" data-tone={item.why.rule === "no_agent" || item.why.rule === "stale_agent" ? "red" : "blue"} role="status" aria-label="Why it waits">
          <div>
            <strong>{item.why.message}</strong>
            <p className="quiet">
              {item.why.position ? `Place ${item.why.position} in the queue` : "With an agent"}
              {item.why.ahead > 0 ? `, ${item.why.ahead} ahead` : ""}
              {item.why.estimated_start && (
                <>
                  {" "}
                  · starts <Ago time={item.why.estimated_start} />
                </>
              )}
            </p>
            {item.why.rule === "no_agent" && <Command text={agentCommand(item.queue, item.entity)} />}
          </div>
        </div>
      )}
      {item.unreachable && (
        <div className="banner" data-tone="amber" role="status">
          Its agent is silent. The item goes on when the agent comes back.
        </div>
      )}

      <section className="stack" style={{ gap: 8 }} aria-label="Timeline">
        {item.attempt > 1 && (
          <div className="row">
            <span className="quiet">
              attempt {number} of {item.max_attempts}
            </span>
            <IconButton icon="left" name="Earlier attempt" onClick={() => look(Math.max(1, number - 1), null)} />
            <IconButton icon="right" name="Later attempt" onClick={() => look(Math.min(item.attempt, number + 1), null)} />
            {attempt && <State state={attempt.state} />}
          </div>
        )}
        <ol className="phases" aria-label="Phases">
          {bars.map((bar) => (
            <li key={bar.name} style={{ flexGrow: bar.weight, flexBasis: 0 }}>
              <button
                type="button"
                className="phase"
                data-tone={bar.tone}
                aria-pressed={bar.name === opened}
                disabled={bar.name === "queued"}
                onClick={() => look(number, bar.name)}
                title={phaseTitle(bar.name, phases)}
              >
                <span className="bar" />
                <span className="name">
                  {bar.name}
                  <span className="num">
                    {" "}
                    {duration(bar.ms)}
                    {bar.name === "build" && item.environment?.cached ? ", cached" : ""}
                  </span>
                </span>
              </button>
            </li>
          ))}
        </ol>
      </section>

      {attempt && opened ? (
        <Log key={`${item.id}/${number}/${opened}`} name="Log" file={`${item.id}-${number}-${opened}.log`} path={`/api/v1/items/${item.id}/logs?attempt=${number}&phase=${opened}`} height={320} onLink={(hash) => change((params) => putPlace(params, { attempt: number, phase: opened }), { replace: true, hash })} />
      ) : (
        <div className="empty" role="log" aria-label="Log">
          {live ? (item.attempt > 0 && attempt ? "Its log begins with its first phase." : "Its log begins when an agent takes it.") : attempt ? "It ended before its first phase: there is no log." : "No agent took it: there is no log."}
        </div>
      )}

      <dl className="facts">
        <dt>Id</dt>
        <dd>
          <Id id={item.id} length={32} />
        </dd>
        <dt>Job</dt>
        <dd>{job ? <Link to={job}>{item.job}</Link> : (item.job ?? item.source?.image ?? "an image")}</dd>
        <dt>Run</dt>
        <dd>
          {item.run ? <Link to={`/${item.entity}/${item.project}/runs/${item.run}`}>{item.name ? <><bdi>{item.name}</bdi> ({item.run})</> : item.run}</Link> : <span className="quiet">not yet</span>}
          {item.runs.length > 1 && <span className="quiet"> and {item.runs.length - 1} more: {item.runs.slice(1).join(", ")}</span>}
        </dd>
        <dt>Queue</dt>
        <dd>
          <Link to={`/launch/${item.entity}/${item.queue}/items`}>
            {item.entity}/{item.queue}
          </Link>{" "}
          on {item.target}, priority {item.priority}
        </dd>
        <dt>By</dt>
        <dd>
          {item.author}, <Ago time={item.created_at} />
        </dd>
        <AgentFact item={item} />
        {item.source && (
          <>
            <dt>Source</dt>
            <dd>
              {item.source.kind} <code>{item.source.commit ?? item.source.image ?? ""}</code>
            </dd>
          </>
        )}
        {item.environment && (
          <>
            <dt>Environment</dt>
            <dd>
              <details>
                <summary>
                  <code>{item.environment.digest.slice(0, 12)}</code> {item.environment.cached ? "was there before" : "was built for it"}, {item.environment.packages.length} packages
                </summary>
                <pre className="small">{item.environment.packages.join("\n")}</pre>
              </details>
            </dd>
          </>
        )}
        {item.next_retry_at && (
          <>
            <dt>Tried again</dt>
            <dd>
              <Ago time={item.next_retry_at} />
            </dd>
          </>
        )}
      </dl>

      <Section name="Inputs" value={item.inputs} open />
      <Section name="Effective configuration" value={item.config.effective} />
      <Section name="Overrides" value={item.overrides} />
      {Object.keys(item.template_variables).length > 0 && <Section name="Template variables" value={item.template_variables} />}
      <dl className="facts">
        <dt>Launch the same</dt>
        <dd>
          <code>{command}</code> <Copy text={command} what="Copy as command" />
        </dd>
        <dt>Run it here</dt>
        <dd>
          <code>lanza item replay {item.id}</code> <Copy text={`lanza item replay ${item.id}`} what="Replay command" />
        </dd>
      </dl>
    </>
  );
}

/** The launch of the item as a command. */
function commandOf(item: Item): string {
  const overrides = item.overrides as { entry_point?: string[]; args?: string[] };
  return launchCommand({
    job: item.job ?? null,
    image: item.source?.image ?? null,
    entity: item.entity,
    queue: item.queue,
    project: item.project,
    name: item.name ?? "",
    priority: item.priority,
    config: item.inputs as JsonObject,
    templates: item.template_variables as JsonObject,
    entryPoint: (overrides.entry_point ?? []).map(shellWord).join(" "),
    args: (overrides.args ?? []).map(shellWord).join(" "),
    resources: item.config.item as JsonObject,
    resource: item.target,
  });
}

function AgentFact({ item }: { item: Item }) {
  const agents = useQuery({ ...agentsQuery([item.entity]), refetchInterval: false, enabled: Boolean(item.agent) });
  if (!item.agent) return null;
  const agent = agents.data?.find((one) => one.id === item.agent);
  return (
    <>
      <dt>Agent</dt>
      <dd>
        {agent ? `${agent.name} on ${agent.host}` : ""} <Id id={item.agent} />
      </dd>
    </>
  );
}

function Section({ name, value, open }: { name: string; value: unknown; open?: boolean }) {
  const empty = !value || (typeof value === "object" && Object.keys(value).length === 0);
  return (
    <details open={open && !empty}>
      <summary>
        <strong style={{ fontWeight: 550 }}>{name}</strong> {empty && <span className="quiet">none</span>}
      </summary>
      {!empty && <Tree name={name} value={value} />}
    </details>
  );
}

function phaseTitle(name: string, phases: { name: string; started_at: string; ended_at?: string | null }[]): string {
  const phase = phases.find((one) => one.name === name);
  return phase ? `${exact(phase.started_at)}${phase.ended_at ? ` to ${exact(phase.ended_at)}` : ""}` : "before an agent took it";
}

/** The phase whose log one wants first: where it failed, else the run, else the newest. */
function defaultPhase(item: Item, names: string[], current: boolean): string | null {
  if (current && item.phase && names.includes(item.phase) && item.phase !== "upload") return item.phase;
  if (names.includes("run")) return "run";
  return names.at(-1) ?? null;
}

/** The version that the item has, in the address of its clone. */
const CLONED = "same";

function Actions({ item, onShow }: { item: Item; onShow: (id: string | null) => void }) {
  const queries = useQueryClient();
  const me = useMe();
  const may = useMay(item.entity, "member");
  const isAdmin = useMay(item.entity, "admin");
  const mayStop = may && (isAdmin || item.author === me.username);
  const [stopping, setStopping] = useState(false);
  const [search, change] = useAddress();
  const clone = search.get("clone");
  const setClone = useCallback((version: string | null) => change((params) => put(params, "clone", version)), [change]);
  const refresh = async () => {
    await queries.invalidateQueries({ queryKey: ["item", item.id] });
    await queries.invalidateQueries({ queryKey: ["items"] });
  };
  const stop = useMutation({
    mutationFn: async () => (await got(api.POST("/api/v1/items/{id}/stop", { params: { path: { id: item.id } }, body: {} }))).item,
    onSuccess: async (stopped) => {
      // What only waited ended at once, and can be put back.
      if (stopped.state === "stopped")
        say("1 item stopped.", async () => {
          const again = (await got(api.POST("/api/v1/items/{id}/retry", { params: { path: { id: item.id } }, body: {} }))).item;
          await refresh();
          // Who still looks at the stopped one goes to the one in its place.
          if (new URLSearchParams(window.location.search).get("item") === item.id) onShow(again.id);
        });
      await refresh();
    },
  });
  const retry = useMutation({
    mutationFn: async (rebuild: boolean) => (await got(api.POST("/api/v1/items/{id}/retry", { params: { path: { id: item.id } }, body: { rebuild } }))).item,
    onSuccess: async (made) => {
      await refresh();
      onShow(made.id);
    },
  });
  const live = !isEnded(item.state);
  const running = item.state === "running";
  const { mutate: stopNow } = stop;
  const { mutate: retryNow } = retry;
  const askStop = useCallback(() => (running ? setStopping(true) : stopNow()), [running, stopNow]);
  useCommands(
    useMemo(
      () =>
        may
          ? [
              ...(live ? (mayStop ? [{ name: "Stop this item", hint: "Item", run: askStop }] : []) : [{ name: "Retry this item", hint: "Item", run: () => retryNow(false) }]),
              { name: "Clone this item", hint: "Item", run: () => setClone(CLONED) },
            ]
          : [],
      [may, mayStop, live, askStop, retryNow, setClone],
    ),
  );
  return (
    <>
      <div className="grow">
        {stop.isError && <Failure error={stop.error} />}
        {retry.isError && <Failure error={retry.error} />}
      </div>
      <Copy text={`${location.origin}${itemLink(item, placeOf(search))}`} what="Copy link" label="Link" />
      {may && (
        <button type="button" className="button" onClick={() => setClone(CLONED)}>
          Clone…
        </button>
      )}
      {may && !live && item.job && (
        <button type="button" className="button" disabled={retry.isPending} title="Retry, with its environment built anew" onClick={() => retry.mutate(true)}>
          Rebuild
        </button>
      )}
      {may && (
        <button type="button" className="button" disabled={live || retry.isPending} onClick={() => retry.mutate(false)}>
          Retry
        </button>
      )}
      {may && (
        <button type="button" className="button danger" disabled={!live || !mayStop || stop.isPending} title={mayStop ? undefined : `Only ${item.author} and admins of ${item.entity} stop it.`} onClick={askStop}>
          Stop
        </button>
      )}
      {stopping && (
        <Confirm title="Stop this item?" action="Stop 1 running item" onYes={() => stop.mutate()} onClose={() => setStopping(false)}>
          <p>Its job gets a signal to end, and is killed when it does not.</p>
        </Confirm>
      )}
      {clone && <LaunchDrawer job={versionedJob(item.job ?? null, clone)} from={item} onVersion={(version) => change((params) => put(params, "clone", version), { replace: true })} onClose={() => setClone(null)} onLaunched={onShow} />}
    </>
  );
}
