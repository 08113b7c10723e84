/** The parts of the launch form. */
import { useQuery } from "@tanstack/react-query";
import { projectsQuery, queueStatsQuery } from "../../api/queries";
import type { JsonObject, Plan, Queue } from "../../api/types";
import { Field, IconButton } from "../../components/parts";
import { agentCommand, duration, shortJson } from "../../format/text";
import { isLive } from "../queue/queue-state";
import type { Template } from "../queue/templates";
import { type InputField, layers, leaves, shownValue } from "./inputs";

/** A field of an input: its type, range and help beneath, whether it was changed, and the way back. */
export function InputRow({ field, text, error, onText }: { field: InputField; text: string; error: string | undefined; onText: (text: string) => void }) {
  const fallback = shownValue(field.default);
  const changed = text !== fallback;
  const note = [field.help, field.range, field.choices || field.type === "string" ? "" : field.type === "json" ? "JSON" : field.type].filter(Boolean).join(" · ");
  return (
    <Field
      label={field.path}
      error={error}
      note={note || undefined}
      mark={
        changed && (
          <>
            <span className="changed" title={`changed from ${fallback || "nothing"}`}>
              ●<span className="hidden-text"> changed</span>
            </span>
            <IconButton icon="refresh" name={`Reset ${field.path}`} onClick={() => onText(fallback)} />
          </>
        )
      }
    >
      {(tie) =>
        field.choices || field.type === "boolean" ? (
          <select {...tie} className="select" value={text} onChange={(event) => onText(event.target.value)}>
            {(!field.required || text === "") && <option value="">–</option>}
            {(field.choices ?? [true, false]).map((choice) => (
              <option key={shownValue(choice)} value={shownValue(choice)}>
                {shownValue(choice)}
              </option>
            ))}
          </select>
        ) : (
          <input {...tie} className={field.type === "json" ? "input mono" : "input"} inputMode={field.type === "integer" ? "numeric" : field.type === "number" ? "decimal" : "text"} value={text} onChange={(event) => onText(event.target.value)} />
        )
      }
    </Field>
  );
}

export function TemplateRow({ name, template, text, error, onText }: { name: string; template: Template; text: string; error: string | undefined; onText: (text: string) => void }) {
  const bounds = template.minimum !== undefined || template.maximum !== undefined ? `${template.minimum ?? ""} … ${template.maximum ?? ""}` : "";
  const note = [template.description, bounds, `${template.type} of the queue`].filter(Boolean).join(" · ");
  const fallback = shownValue(template.default);
  return (
    <Field label={name} error={error} note={note}>
      {(tie) =>
        template.enum ? (
          <select {...tie} className="select" value={text} onChange={(event) => onText(event.target.value)}>
            <option value="">{fallback ? `${fallback} (default)` : "–"}</option>
            {template.enum.map((choice) => (
              <option key={shownValue(choice)} value={shownValue(choice)}>
                {shownValue(choice)}
              </option>
            ))}
          </select>
        ) : (
          <input {...tie} className="input" placeholder={fallback} value={text} onChange={(event) => onText(event.target.value)} />
        )
      }
    </Field>
  );
}

/** What a launch on this queue meets: who waits, who takes, how long it took lately. */
export function QueueNote({ queue }: { queue: Queue }) {
  const stats = useQuery(queueStatsQuery(queue.entity, queue.name, "7d"));
  const waiting = queue.counts.queued ?? 0;
  const live = queue.agents.filter((agent) => isLive(agent.status)).length;
  if (queue.policy.paused === true) return <>paused: the item waits until somebody resumes the queue</>;
  if (live === 0)
    return (
      <>
        {waiting} waiting · no agent polls it: <code>{agentCommand(queue.name, queue.entity)}</code>
      </>
    );
  const half = stats.data?.waiting.p50_ms;
  return (
    <>
      {waiting} waiting · {live} {live === 1 ? "agent" : "agents"} polling
      {half !== null && half !== undefined && <span title="As half of the items of the last 7 days did, or sooner."> · starts in ≈ {duration(half)}</span>}
    </>
  );
}

export function ProjectField({ entity, value, onValue }: { entity: string; value: string; onValue: (value: string) => void }) {
  const projects = useQuery(projectsQuery(entity));
  return (
    <Field label="Project">
      {(tie) => (
        <>
          <input {...tie} className="input" list="launch-projects" value={value} onChange={(event) => onValue(event.target.value)} />
          <datalist id="launch-projects">{projects.data?.map((project) => <option key={project.id} value={project.name} />)}</datalist>
        </>
      )}
    </Field>
  );
}

/** The effective configuration: the admin's lines grey, the submitter's marked, with what they replace. */
export function PlanView({ plan, inputs }: { plan: Plan; inputs: JsonObject }) {
  const lines = layers(plan.config);
  return (
    <>
      {plan.warnings.map((warning) => (
        <div key={warning} className="banner" data-tone="amber">
          {warning}
        </div>
      ))}
      <p className="quiet">
        {plan.job ?? "The image"} on {plan.queue} ({plan.target}), run in project {plan.project}
      </p>
      <div className="diff" role="list" aria-label="Effective configuration">
        {lines.length === 0 && <div className="admin">The target gets no configuration.</div>}
        {lines.map((line) => (
          <div key={line.path} role="listitem" className={line.from}>
            {line.path} = {shortJson(line.value)}
            {line.was !== undefined && <span className="quiet"> (queue: {shortJson(line.was)})</span>}
          </div>
        ))}
        {leaves(inputs).map(([path, value]) => (
          <div key={`config ${path}`} role="listitem" className="mine">
            wandb.config.{path} = {shortJson(value)}
          </div>
        ))}
      </div>
    </>
  );
}
