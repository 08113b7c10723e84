/** Takes the values of what ran before: of a launch of the job, or of any run of the project, launched or not. */
import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { Problem } from "../../api/client";
import { itemsQuery, projectRunsQuery, runQuery } from "../../api/queries";
import type { Item, JsonObject, Run } from "../../api/types";
import { Ago, Dialog } from "../../components/parts";
import { State } from "../../components/state";
import { Failure, View } from "../../components/view";
import { shortJson } from "../../format/text";
import { chipsFrom, filterOf } from "../project/run-filter";

/** Rows of each list: whoever looks further types a word. */
const SHOWN = 20;
/** How long after the last key the server is asked, in milliseconds. */
const PAUSE = 250;

export interface PasteProps {
  /** `e/p/name`. */
  job: string;
  entity: string;
  project: string;
  onPaste: (values: JsonObject) => void;
}

export function PasteFrom(props: PasteProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Paste from…
      </button>
      {open && (
        // Keys of this dialog are none of the form's that it stands in.
        // eslint-disable-next-line jsx-a11y/no-static-element-interactions
        <div onKeyDown={(event) => event.stopPropagation()}>
          <Choose
            {...props}
            onPaste={(values) => {
              props.onPaste(values);
              setOpen(false);
            }}
            onClose={() => setOpen(false)}
          />
        </div>
      )}
    </>
  );
}

/** Whether a launch is one that was meant. */
export function launchFits(item: Pick<Item, "id" | "name" | "run" | "state" | "author">, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  return [item.name, item.run, item.id, item.state, item.author].some((known) => known?.toLowerCase().includes(wanted));
}

/** What of a run's config a launch may set; keys that begin with `_` are the client's own. */
export const pastable = (config: JsonObject): JsonObject => Object.fromEntries(Object.entries(config).filter(([key]) => !key.startsWith("_")));

/** A filter over the runs' names that matches what was typed as it is, if it is no filter of the runs table. */
export function runsThatFit(text: string): string | undefined {
  return filterOf(chipsFrom([text]));
}

function Choose({ job, entity, project, onPaste, onClose }: PasteProps & { onClose: () => void }) {
  const [text, setText] = useState("");
  const [asked, ask] = useState("");
  const queries = useQueryClient();
  useEffect(() => {
    const timer = setTimeout(() => ask(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  const items = useInfiniteQuery(itemsQuery({ job }));
  const more = Boolean(items.data?.pages[0]?.next);
  const launches = (items.data?.pages[0]?.items ?? []).filter((item) => Object.keys(item.inputs).length > 0 && launchFits(item, text));
  const runs = useQuery({ ...projectRunsQuery(entity, project, runsThatFit(asked), SHOWN), placeholderData: keepPreviousData });
  // Lists leave configs out: some have thousands of keys.
  const take = useMutation({
    mutationFn: async (run: Run) => {
      const whole = await queries.fetchQuery(runQuery(run.entity, run.project, run.id));
      const values = pastable(whole.config as JsonObject);
      if (Object.keys(values).length === 0) throw new Problem(0, { code: "no_config", message: `${run.name} has no config to paste.` });
      return values;
    },
    onSuccess: onPaste,
  });
  return (
    <Dialog title="Paste from" name="Paste from" onClose={onClose}>
      <input
        className="input"
        type="search"
        aria-label="Find launches and runs"
        placeholder="Part of a name, or a filter such as lr>0.1 or state:failed"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {take.isError && <Failure error={take.error} />}
      {(launches.length > 0 || more) && (
        <Choices title="Launches of the job">
          {launches.slice(0, SHOWN).map((item) => (
            <Choice key={item.id} name={item.name ?? item.run ?? item.id.slice(-6)} state={item.state} time={item.created_at} note={shortJson(item.inputs as JsonObject)} onChoose={() => onPaste(item.inputs as JsonObject)} />
          ))}
          {(more || launches.length > SHOWN) && (
            <p className="quiet small" role="note">
              {launches.length > SHOWN ? `The newest ${SHOWN} are shown: type a part of a name to find others. ` : ""}
              {more ? `They are looked for among the newest ${items.data?.pages[0]?.items.length} launches.` : ""}
            </p>
          )}
        </Choices>
      )}
      <Choices title={`Runs of ${entity}/${project}`}>
        {runs.error instanceof Problem && runs.error.status === 404 ? (
          <p className="quiet">The project is made by its first run.</p>
        ) : (
          <View query={runs} height={60} empty={(list) => (list.length === 0 ? <p className="quiet">{asked ? "No run fits." : "The project has no run."}</p> : null)}>
            {(list) => (
              <>
                {list.map((run) => (
                  <Choice key={run.id} name={run.name} state={run.state} time={run.created_at} note={run.id} busy={take.isPending} onChoose={() => take.mutate(run)} />
                ))}
                {list.length >= SHOWN && (
                  <p className="quiet small" role="note">
                    The newest {SHOWN} are shown: type a part of a name, or a filter, to find others.
                  </p>
                )}
              </>
            )}
          </View>
        )}
      </Choices>
    </Dialog>
  );
}

function Choices({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title} className="stack" style={{ gap: 4 }}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Choice({ name, state, time, note, busy, onChoose }: { name: string; state: string; time: string; note: string; busy?: boolean; onChoose: () => void }) {
  return (
    <button type="button" className="button" style={{ width: "100%", justifyContent: "flex-start", gap: 12 }} disabled={busy} onClick={onChoose}>
      <span className="cut">{name}</span>
      <State state={state} />
      <span className="quiet small cut grow" style={{ textAlign: "left" }}>
        {note}
      </span>
      <span className="quiet small">
        <Ago time={time} />
      </span>
    </button>
  );
}
