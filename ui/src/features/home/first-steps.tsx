import { useQueries, useQuery } from "@tanstack/react-query";
import { pollEvery } from "../../api/live";
import { agentsQuery, jobsQuery, keysQuery, projectsOfQuery } from "../../api/queries";
import { useScope } from "../../app/scope";
import { Command } from "../../components/parts";
import { State } from "../../components/state";

/** Projects whose jobs are looked at. */
const LOOKED_AT = 4;

/** Four steps on a new server; each ticks itself off when the server sees it happen, whatever the others do. */
export function FirstSteps({ launched }: { launched: boolean }) {
  const { entities, one } = useScope();
  // New keys, projects and jobs have no events.
  const keys = useQuery({ ...keysQuery, refetchInterval: () => pollEvery() });
  const projects = useQuery({ ...projectsOfQuery(entities), refetchInterval: () => pollEvery() });
  const agents = useQuery(agentsQuery(entities));
  const jobs = useQueries({ queries: (projects.data ?? []).slice(0, LOOKED_AT).map((p) => ({ ...jobsQuery(p.entity, p.name), refetchInterval: () => pollEvery() })) });
  const job = jobs.flatMap((query) => query.data ?? [])[0];
  const polled = agents.data?.some((agent) => agent.status === "polling" || agent.status === "running");
  const steps: { name: string; done: boolean; command: string }[] = [
    // Clients log in with a key; who has one took this step, or was handed it.
    { name: "Log in", done: (keys.data ?? []).length > 0, command: `pip install wandb\nexport WANDB_BASE_URL=${location.origin}\nwandb login --host ${location.origin}` },
    { name: "Track a run", done: projects.data?.some((p) => p.runs > 0) ?? false, command: "python -c 'import wandb; r = wandb.init(project=\"first\"); r.log({\"loss\": 0.5}); r.finish()'" },
    { name: "Make a job", done: job !== undefined, command: "lanza job create code train.py --project first" },
    { name: "Launch it", done: launched, command: `${polled ? "" : `lanza agent -q default -e ${one} &\n`}lanza launch -q default -j ${job?.latest?.reference ?? `${one}/first/job-train.py:latest`}` },
  ];
  return (
    <section className="stack" aria-label="First steps">
      <h2>First steps</h2>
      <ol className="stack">
        {steps.map((step, index) => (
          <li key={step.name} className="stack" style={{ gap: 6 }} aria-label={`${step.name}: ${step.done ? "done" : "to do"}`}>
            <strong>
              {index + 1}. {step.name} {step.done && <State state="finished" />}
            </strong>
            <Command text={step.command} />
          </li>
        ))}
      </ol>
    </section>
  );
}
