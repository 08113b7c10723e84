import { useMutation, useQueryClient } from "@tanstack/react-query";
import { DropdownMenu } from "radix-ui";
import { useState } from "react";
import { api } from "../../api/client";
import { isEnded } from "../../api/queries";
import type { Run } from "../../api/types";
import { useMay } from "../../app/scope";
import { Confirm, Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { count } from "../../format/text";

/** Requests at once: many runs must not take all connections of the page. */
const AT_ONCE = 4;

/** Does something to each, a few at a time. The first refusal is thrown when all were tried. */
export async function each<T>(list: T[], act: (one: T) => Promise<unknown>): Promise<void> {
  let next = 0;
  const refused: unknown[] = [];
  const worker = async () => {
    while (next < list.length) {
      const one = list[next++]!;
      try {
        await act(one);
      } catch (error) {
        refused.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (refused.length > 0) throw refused[0];
}

type Verb = "stop" | "delete" | "tag" | "untag";

/** What can be done with the selected runs, after saying how many it hits. */
export function Bulk({ runs, entity, onDone }: { runs: Run[]; entity: string; onDone: () => void }) {
  const queries = useQueryClient();
  const may = useMay(entity, "member");
  const [asking, setAsking] = useState<Verb | null>(null);
  const [tag, setTag] = useState("");
  const act = useMutation({
    mutationFn: async (verb: Verb) => {
      const chosen = verb === "stop" ? runs.filter((run) => !isEnded(run.state)) : verb === "untag" ? runs.filter((run) => run.tags.includes(tag)) : runs;
      await each(chosen, async (run) => {
        const params = { path: { entity: run.entity, project: run.project, run: run.id } };
        if (verb === "stop") return api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/stop", { params });
        if (verb === "delete") return api.DELETE("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { params });
        const tags = verb === "tag" ? [...new Set([...run.tags, tag.trim()])] : run.tags.filter((one) => one !== tag);
        return api.PATCH("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { params, body: { tags } });
      });
    },
    onSuccess: onDone,
    onSettled: () => queries.invalidateQueries({ queryKey: ["runs"] }),
  });
  if (act.isError) return <Failure error={act.error} retry={() => act.reset()} />;
  if (!may || runs.length === 0) return null;
  const live = runs.filter((run) => !isEnded(run.state)).length;
  const names = count(runs.length, "run");
  const tags = [...new Set(runs.flatMap((run) => run.tags))].slice(0, 12);
  const tagged = count(runs.filter((run) => run.tags.includes(tag)).length, "run");
  return (
    <>
      <DropdownMenu.Root modal={false}>
        <DropdownMenu.Trigger asChild>
          <button type="button" className="button">
            {names} selected ▾
          </button>
        </DropdownMenu.Trigger>
        <DropdownMenu.Portal>
          <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
            <DropdownMenu.Item
              onSelect={() => {
                setTag("");
                setAsking("tag");
              }}
            >
              Add a tag…
            </DropdownMenu.Item>
            {tags.map((one) => (
              <DropdownMenu.Item
                key={one}
                onSelect={() => {
                  setTag(one);
                  setAsking("untag");
                }}
              >
                Remove the tag {one}…
              </DropdownMenu.Item>
            ))}
            <DropdownMenu.Item disabled={live === 0} onSelect={() => setAsking("stop")}>
              Stop {count(live, "running run")}…
            </DropdownMenu.Item>
            <DropdownMenu.Item onSelect={() => setAsking("delete")}>Delete {names}…</DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
      {asking === "stop" && (
        <Confirm title="Stop these runs?" action={`Stop ${count(live, "running run")}`} onYes={() => act.mutate("stop")} onClose={() => setAsking(null)}>
          <p>Items that launched them stop too.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title={`Delete ${names}?`} action={`Delete ${names}`} typed="delete" onYes={() => act.mutate("delete")} onClose={() => setAsking(null)}>
          <p>Their history and files go with them; their artifacts stay. This cannot be undone.</p>
        </Confirm>
      )}
      {asking === "untag" && (
        <Confirm title={`Remove the tag ${tag}?`} action={`Remove it from ${tagged}`} onYes={() => act.mutate("untag")} onClose={() => setAsking(null)}>
          <p>The runs keep their other tags.</p>
        </Confirm>
      )}
      {asking === "tag" && (
        <Dialog
          title="Add a tag"
          name="Add a tag"
          onClose={() => setAsking(null)}
          foot={
            <button
              type="button"
              className="button primary"
              disabled={tag.trim() === ""}
              onClick={() => {
                act.mutate("tag");
                setAsking(null);
              }}
            >
              Tag {names}
            </button>
          }
        >
          <Field label="Tag">{(tie) => <input {...tie} className="input" value={tag} onChange={(event) => setTag(event.target.value)} />}</Field>
        </Dialog>
      )}
    </>
  );
}
