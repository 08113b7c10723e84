import { useQueries, useQuery } from "@tanstack/react-query";
import { pollEvery } from "../../api/live";
import { jobsQuery, keysQuery, projectsOfQuery, queuesQuery } from "../../api/queries";
import { useMay, useScope } from "../../app/scope";
import { Command } from "../../components/parts";
import { State } from "../../components/state";
import { isLive } from "../queue/queue-state";
import { commandsOf } from "./steps";

/** Projects whose jobs are looked at. */
const LOOKED_AT = 4;

/** Four steps on a new server; each ticks itself off when the server sees it happen, whatever the others do. All of them are of
    the same entity: the chosen one, else one's own. */
export function FirstSteps({ launched }: { launched: boolean }) {
  const { entities, one } = useScope();
  const mayMakeQueues = useMay(one, "admin");
  // New keys, projects and jobs have no events.
  const keys = useQuery({ ...keysQuery, refetchInterval: () => pollEvery() });
  const projects = useQuery({ ...projectsOfQuery(entities), refetchInterval: () => pollEvery() });
  const queues = useQuery(queuesQuery(entities));
  const jobs = useQueries({ queries: (projects.data ?? []).slice(0, LOOKED_AT).map((p) => ({ ...jobsQuery(p.entity, p.name), refetchInterval: () => pollEvery() })) });
  const made = jobs.flatMap((query) => query.data ?? []);
  const own = (queues.data ?? []).filter((queue) => queue.entity === one).map(({ name, agents }) => ({ name, isPolled: agents.some((agent) => isLive(agent.status)) }));
  const queue = own.find((known) => known.isPolled) ?? own[0] ?? null;
  const commands = commandsOf({ origin: location.origin, entity: one, queue, job: made.map((job) => job.latest?.reference).find((reference) => reference?.startsWith(`${one}/`)) ?? null });
  const steps: { name: string; done: boolean; command: string; note?: string }[] = [
    // Clients log in with a key; who has one took this step, or was handed it.
    { name: "Log in", done: (keys.data ?? []).length > 0, command: commands.logIn },
    { name: "Track a run", done: projects.data?.some((p) => p.runs > 0) ?? false, command: commands.track },
    { name: "Make a job", done: made.length > 0, command: commands.makeJob },
    { name: "Launch it", done: launched, command: commands.launch, ...(queue || mayMakeQueues ? {} : { note: `Only admins of ${one} make its queue.` }) },
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
            {step.note && <p className="quiet small">{step.note}</p>}
          </li>
        ))}
      </ol>
    </section>
  );
}
