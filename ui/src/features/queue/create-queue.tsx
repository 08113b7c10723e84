import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, got, Problem } from "../../api/client";
import { useMe, useScope } from "../../app/scope";
import { warn } from "../../components/notice";
import { Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { ConfigField, hintsAbout, useConfig } from "./config-field";

export const targets = ["docker", "process", "kubernetes", "slurm", "sagemaker", "vertex"];

/** Makes a queue. A refused one keeps its form. */
export function CreateQueue({ onClose }: { onClose: () => void }) {
  const me = useMe();
  const { one } = useScope();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [entity, setEntity] = useState(one);
  const [target, setTarget] = useState("docker");
  const [priority, setPriority] = useState(true);
  const config = useConfig({}, {}, (parsed) => hintsAbout(entity, { name: name.trim() || "queue", target, ...parsed }));

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
      onClose();
      await navigate(`/launch/${queue.entity}/${queue.name}/items`);
    },
  });
  const nameError = create.error instanceof Problem && /name|exists/.test(create.error.code) ? create.error.message : null;

  return (
    <Dialog
      title="Create queue"
      name="Create queue"
      onClose={onClose}
      kind="drawer"
      foot={
        <>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" form="create-queue" className="button primary" disabled={create.isPending}>
            Create
          </button>
        </>
      }
    >
      {create.isError && !nameError && <Failure error={create.error} />}
      <form
        id="create-queue"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void config.parse().then((body) => body && create.mutate(body));
        }}
      >
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
        <Field label="Target" note="Where its items run. An agent that serves this target must poll the queue.">
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
        <ConfigField state={config} target={target} />
      </form>
    </Dialog>
  );
}
