import { useMutation, useQueryClient } from "@tanstack/react-query";
import { DropdownMenu } from "radix-ui";
import { useState } from "react";
import { api } from "../../api/client";
import { isEnded } from "../../api/queries";
import type { Run } from "../../api/types";
import { each } from "../../app/each";
import { useMay } from "../../app/scope";
import { say } from "../../components/notice";
import { Confirm, Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { count } from "../../format/text";

/** Tags that the menu offers to remove. */
const TAGS = 12;

type Verb = "stop" | "delete" | "tag" | "untag";

/** What can be done with the selected runs, after saying how many it hits. */
export function Bulk({ runs, entity, onDone }: { runs: Run[]; entity: string; onDone: () => void }) {
  const queries = useQueryClient();
  const may = useMay(entity, "member");
  const [asking, setAsking] = useState<"stop" | "delete" | "tag" | null>(null);
  const [tag, setTag] = useState("");
  const path = (run: Run) => ({ params: { path: { entity: run.entity, project: run.project, run: run.id } } });
  const setTags = async (list: Run[], tagsOf: (run: Run) => string[]) =>
    each(list, async (run) => api.PATCH("/api/v1/entities/{entity}/projects/{project}/runs/{run}", { ...path(run), body: { tags: tagsOf(run) } }));
  const refresh = async () => queries.invalidateQueries({ queryKey: ["runs"] });
  const act = useMutation({
    mutationFn: async ({ verb, tag }: { verb: Verb; tag: string }) => {
      if (verb === "stop") return each(runs.filter((run) => !isEnded(run.state)), async (run) => api.POST("/api/v1/entities/{entity}/projects/{project}/runs/{run}/stop", path(run)));
      if (verb === "delete") return each(runs, async (run) => api.DELETE("/api/v1/entities/{entity}/projects/{project}/runs/{run}", path(run)));
      const chosen = runs.filter((run) => run.tags.includes(tag) === (verb === "untag"));
      await setTags(chosen, (run) => (verb === "tag" ? [...run.tags, tag] : run.tags.filter((one) => one !== tag)));
      say(verb === "tag" ? `Tagged ${count(chosen.length, "run")} with ${tag}.` : `Removed the tag ${tag} from ${count(chosen.length, "run")}.`, async () => {
        await setTags(chosen, (run) => run.tags);
        await refresh();
      });
    },
    onSuccess: onDone,
    onSettled: refresh,
  });
  if (act.isError) return <Failure error={act.error} retry={() => act.reset()} />;
  if (!may || runs.length === 0) return null;
  const live = runs.filter((run) => !isEnded(run.state)).length;
  const names = count(runs.length, "run");
  const tags = [...new Set(runs.flatMap((run) => run.tags))];
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
            {tags.slice(0, TAGS).map((one) => (
              <DropdownMenu.Item key={one} onSelect={() => act.mutate({ verb: "untag", tag: one })}>
                Remove the tag {one}
              </DropdownMenu.Item>
            ))}
            {tags.length > TAGS && <div className="menu-label">{count(tags.length - TAGS, "more tag")}: select fewer runs</div>}
            {live > 0 && <DropdownMenu.Item onSelect={() => setAsking("stop")}>Stop {count(live, "running run")}…</DropdownMenu.Item>}
            <DropdownMenu.Item onSelect={() => setAsking("delete")}>Delete {names}…</DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
      {asking === "stop" && (
        <Confirm title="Stop these runs?" action={`Stop ${count(live, "running run")}`} onYes={() => act.mutate({ verb: "stop", tag: "" })} onClose={() => setAsking(null)}>
          <p>Items that launched them stop too.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title={`Delete ${names}?`} action={`Delete ${names}`} typed={runs.length === 1 ? runs[0]!.name : runs[0]!.project} onYes={() => act.mutate({ verb: "delete", tag: "" })} onClose={() => setAsking(null)}>
          <p>Their history and files go with them; their artifacts stay. This cannot be undone.</p>
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
                act.mutate({ verb: "tag", tag: tag.trim() });
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
