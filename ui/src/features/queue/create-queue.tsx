import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";
import { api, got, Problem } from "../../api/client";
import { useMe, useScope } from "../../app/scope";
import { Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { count } from "../../format/text";
import { TemplateTiles } from "./template-tiles";
import { parseConfig, type Template, templateNames, templatesFor } from "./templates";

export const targets = ["docker", "process", "kubernetes", "slurm", "sagemaker", "vertex"];

const examples: Record<string, string> = {
  docker: '{\n  "cpus": "{{cpus}}",\n  "memory": "8g"\n}',
  process: "{}",
  kubernetes: '{\n  "namespace": "default"\n}',
  slurm: '{\n  "partition": "{{partition}}",\n  "time": "01:00:00"\n}',
};

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
  const [text, setText] = useState("{}");
  const [templates, setTemplates] = useState<Record<string, Template>>({});
  const [wrong, setWrong] = useState<string | null>(null);
  const [parsed, setParsed] = useState<string | null>(null);

  const parse = () => {
    const { config, error } = parseConfig(text);
    setWrong(error ?? null);
    if (!config) return null;
    const next = templatesFor(templateNames(config), templates);
    setTemplates(next);
    const names = Object.keys(next).length;
    setParsed(names === 0 ? "Valid JSON without template variables." : `Valid JSON with ${count(names, "template variable")}.`);
    return { config, templates: next };
  };

  const create = useMutation({
    mutationFn: async (body: { config: object; templates: object }) =>
      (
        await got(
          api.POST("/api/v1/entities/{entity}/queues", {
            params: { path: { entity } },
            body: { name: name.trim(), target, priority, config: body.config as never, templates: body.templates as never },
          }),
        )
      ).queue,
    onSuccess: async (queue) => {
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
      {create.isError && <Failure error={create.error} />}
      <form
        id="create-queue"
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          const body = parse();
          if (body) create.mutate(body);
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
        <Field label="Configuration" error={wrong} note={parsed ?? "JSON: the object below resource_args of the target. {{name}} is a variable that the submitter fills."}>
          {(tie) => <textarea {...tie} className="area" rows={9} spellCheck={false} value={text} onChange={(e) => { setText(e.target.value); setParsed(null); }} />}
        </Field>
        <div className="row">
          <button type="button" className="button" onClick={parse}>
            Parse configuration
          </button>
          {examples[target] && text.trim() === "{}" && (
            <button type="button" className="link" onClick={() => setText(examples[target]!)}>
              Start from an example
            </button>
          )}
        </div>
        <TemplateTiles templates={templates} onChange={setTemplates} />
      </form>
    </Dialog>
  );
}
