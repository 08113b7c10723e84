import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { api, got, isAt, refusedField, takenError, whyAt } from "../../api/client";
import { useMe, useScope } from "../../app/scope";
import { warn } from "../../components/notice";
import { Dialog, Field } from "../../components/parts";
import { useRefusal } from "../../components/refused";
import { Failure } from "../../components/view";
import { ConfigField, type ConfigText, configText, hintsAbout, useConfig } from "./config-field";
import { keepDraft, keptDraft } from "./kept-drafts";

export const targets = ["docker", "process", "kubernetes", "slurm", "sagemaker", "vertex"];

interface Draft {
  name: string;
  entity: string;
  target: string;
  priority: boolean;
  config: ConfigText;
}

const draftKey = "create queue";

/** Makes a queue. A refused one keeps its form; so does one that was closed, unless by `Cancel`. */
export function CreateQueue({ onClose }: { onClose: () => void }) {
  const me = useMe();
  const { one } = useScope();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [begun] = useState(() => keptDraft<Draft>(draftKey) ?? { name: "", entity: one, target: "docker", priority: true, config: configText({}, {}) });
  const [name, setName] = useState(begun.name);
  const [entity, setEntity] = useState(begun.entity);
  const [target, setTarget] = useState(begun.target);
  const [priority, setPriority] = useState(begun.priority);
  const config = useConfig(begun.config, (parsed) => hintsAbout(entity, { name: name.trim() || "queue", target, ...parsed }));
  const [unread, setUnread] = useState(0);
  const form = useRef<HTMLFormElement>(null);
  const { text, tiles } = config;
  useEffect(() => keepDraft(draftKey, { name, entity, target, priority, config: { text, tiles } } satisfies Draft));
  const close = () => {
    onClose();
    keepDraft(draftKey, undefined);
  };

  const create = useMutation({
    mutationFn: async (body: { config: object; templates: object }) =>
      got(
        api.POST("/api/v1/entities/{entity}/queues", {
          params: { path: { entity } },
          body: { name: name.trim(), target, priority, config: body.config as never, templates: body.templates as never },
        }),
      ),
    onSuccess: async ({ queue, warnings }) => {
      warn(warnings ?? []);
      await queries.invalidateQueries({ queryKey: ["queues"] });
      close();
      await navigate(`/launch/${queue.entity}/${queue.name}/items`);
    },
  });
  const refused = refusedField(create.error);
  const at = (path: string) => (refused && isAt(refused, path) ? whyAt(refused, path) : null);
  const nameError = at("name") ?? takenError(create.error);
  const atField = nameError !== null || ["target", "config", "templates"].some((path) => at(path) !== null);
  useRefusal(form, create.error);
  useRefusal(form, unread);

  return (
    <Dialog
      title="Create queue"
      name="Create queue"
      onClose={onClose}
      kind="drawer"
      foot={
        <>
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" form="create-queue" className="button primary" disabled={create.isPending}>
            Create
          </button>
        </>
      }
    >
      <form
        ref={form}
        id="create-queue"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void config.parse().then((body) => (body ? create.mutate(body) : setUnread((times) => times + 1)));
        }}
        // What was refused was said about what stood there before.
        onInput={() => create.isError && create.reset()}
      >
        {create.isError && !atField && <Failure error={create.error} />}
        <Field label="Name" error={nameError}>
          {(tie) => <input {...tie} className="input" required value={name} onChange={(e) => setName(e.target.value)} />}
        </Field>
        <Field label="Entity">
          {(tie) => (
            <select {...tie} className="select" value={entity} onChange={(e) => setEntity(e.target.value)}>
              {me.entities.map((known) => (
                <option key={known.name}>{known.name}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Target" error={at("target")} note="Where its items run. An agent that serves this target must poll the queue.">
          {(tie) => (
            <select {...tie} className="select" value={target} onChange={(e) => setTarget(e.target.value)}>
              {targets.map((word) => (
                <option key={word}>{word}</option>
              ))}
            </select>
          )}
        </Field>
        <label className="row">
          <input type="checkbox" checked={priority} onChange={(e) => setPriority(e.target.checked)} />
          Items have a priority
        </label>
        <ConfigField state={config} target={target} refused={refused} />
      </form>
    </Dialog>
  );
}
