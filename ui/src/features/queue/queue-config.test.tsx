// @vitest-environment jsdom
import { Refused, server } from "../../testing/fake-server";
import { cleanup, configure, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { useQuery } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, test } from "vitest";
import { queueQuery } from "../../api/queries";
import { Notices } from "../../components/notice";
import { drawAt } from "../../testing/at";
import { keepDraft } from "./kept-drafts";
import { QueueConfig } from "./queue-config";

// A loaded machine is given time.
configure({ asyncUtilTimeout: 10_000 });

const begin = { config: { gpus: 1 }, templates: {}, policy: { max_running: 2 }, priority: true };
let settings: Record<string, unknown>;
let revision: number;

/** A server that keeps the settings of one queue, and refuses changes of what it was before. */
beforeEach(() => {
  settings = begin;
  revision = 1;
  keepDraft("config 1", undefined);
  const queue = () => ({ queue: { id: "1", name: "gpu", entity: "team", target: "docker", external_links: {}, counts: { queued: 3, running: 1 }, agents: [], revision: `r${revision}`, ...settings } });
  server.on("GET /me", { username: "ana", entity: "ana", admin: false, entities: [{ name: "team", kind: "team", role: "admin" }] });
  server.on("GET /entities/team/queues/gpu", queue);
  server.on("GET /entities/team/queues/gpu/history", () => ({
    items: revision === 1 ? [] : [{ id: "h", actor: "ben", verb: "changed", time: "2026-01-01T00:00:00Z", changes: [{ path: "policy.max_running", from: 2, to: 7 }] }],
    next: null,
  }));
  server.on("PATCH /entities/team/queues/gpu", ({ body }, _query, headers) => {
    if (headers.get("if-match") !== `"r${revision}"`) return new Refused(412, "changed_since", "somebody else has changed the queue `gpu` in the meantime");
    theyChange(body as object);
    return queue();
  });
});
afterEach(() => {
  cleanup();
  server.clear();
});

const theyChange = (change: object) => {
  settings = { ...settings, ...change };
  revision++;
};
const saved = () => server.sent.filter(({ method }) => method === "PATCH").at(-1)?.body;

function Page() {
  const { data } = useQuery(queueQuery("team", "gpu"));
  return (
    <>
      {data && <QueueConfig queue={data} />}
      <Notices />
    </>
  );
}
async function open() {
  const { queries } = drawAt("/", { "/": <Page /> });
  await screen.findByRole("button", { name: "Save" });
  return { reread: async () => queries.invalidateQueries({ queryKey: ["queue"] }) };
}
const field = (label: string) => screen.getByLabelText<HTMLInputElement>(label);
const type = (label: string, text: string) => fireEvent.input(field(label), { target: { value: text } });
/** Enter in a field sends the form, and the field keeps the keyboard. */
const enter = () => fireEvent.submit(field("Running at most").form!);
const whyNot = async (label: string) => {
  await waitFor(() => expect(field(label).getAttribute("aria-invalid")).toBe("true"));
  return document.getElementById(field(label).getAttribute("aria-describedby")!.split(" ")[0]!)!.textContent;
};

test("what was typed last is saved too", async () => {
  await open();
  type("Retries", "2");
  type("Retry on", "lost, exit:75");
  type("Submitters may set", "memory");
  enter();
  await waitFor(() => expect(saved()).toMatchObject({ policy: { max_running: 2, submitter_fields: ["memory"], retry: { max: 2, on: ["lost", "exit:75"] } } }));
  await waitFor(() => expect(screen.queryByText("Not saved yet.")).toBeNull());
});

test("a variable's value that does not fit is refused at its field, and nothing is sent", async () => {
  settings = { ...begin, config: { gpus: "{{n}}" }, templates: { n: { type: "integer", default: 1 } } };
  await open();
  type("Default", "many");
  enter();
  expect(await whyNot("Default")).toBe("must be a whole number");
  await waitFor(() => expect(document.activeElement).toBe(field("Default")));
  expect(server.sent).toEqual([]);
  type("Default", "4");
  type("Choices", "2, 4");
  enter();
  await waitFor(() => expect(saved()).toMatchObject({ templates: { n: { type: "integer", default: 4, enum: [2, 4] } } }));
});

test("what the server refuses stands at the field that it is about, which has the keyboard", async () => {
  server.on("PATCH /entities/team/queues/gpu", new Refused(422, "invalid", "policy.retry.on[0]: `exit:abc` needs an exit code from 1 to 255"));
  await open();
  type("Retry on", "exit:abc");
  enter();
  expect(await whyNot("Retry on")).toBe("`exit:abc` needs an exit code from 1 to 255");
  await waitFor(() => expect(document.activeElement).toBe(field("Retry on")));
  expect(screen.queryByRole("alert")).toBeNull();
  type("Retry on", "exit:7");
  await waitFor(() => expect(field("Retry on").getAttribute("aria-invalid")).toBeNull());
});

test("another's change is not undone unless one says so", async () => {
  await open();
  theyChange({ policy: { max_running: 7 }, config: { gpus: 1, env: { A: "1" } } });
  type("Longest run", "100");
  enter();
  const question = await screen.findByRole("alert", { name: "Changed by somebody else" });
  expect(question.textContent).toContain("ben changed gpu");
  expect([...question.querySelectorAll(".remove, .add")].map((line) => line.textContent)).toEqual(["+ config.env = {\"A\":\"1\"}", "- policy.max_running = 2", "+ policy.max_running = 7"]);
  expect(settings.policy).toEqual({ max_running: 7 });
  expect(field("Longest run").value).toBe("100");
  // The same again asks again; to save over it is an answer.
  enter();
  await waitFor(() => expect(server.sent.length).toBe(2));
  expect(settings.policy).toEqual({ max_running: 7 });
  fireEvent.click(within(question).getByRole("button", { name: "Save over it" }));
  await waitFor(() => expect(settings.policy).toEqual({ max_running: 2, max_duration_seconds: 100 }));
  await waitFor(() => expect(screen.queryByRole("alert")).toBeNull());
  // Undo brings back what they had.
  fireEvent.click((await screen.findAllByRole("button", { name: "Undo" })).at(-1)!);
  await waitFor(() => expect(settings).toMatchObject({ policy: { max_running: 7 }, config: { gpus: 1, env: { A: "1" } } }));
});

test("one is asked as soon as it is known, and can take theirs", async () => {
  const { reread } = await open();
  type("Running at most", "5");
  theyChange({ policy: { max_running: 7 } });
  await reread();
  const question = await screen.findByRole("alert", { name: "Changed by somebody else" });
  await within(question).findByText("yours: 5");
  fireEvent.click(within(question).getByRole("button", { name: "Take theirs" }));
  await waitFor(() => expect(field("Running at most").value).toBe("7"));
  expect([screen.queryByRole("alert"), server.sent.length]).toEqual([null, 0]);
});

test("who typed nothing sees what is set now", async () => {
  const { reread } = await open();
  theyChange({ policy: { max_running: 7 } });
  await reread();
  await waitFor(() => expect(field("Running at most").value).toBe("7"));
  expect(screen.queryByRole("alert")).toBeNull();
});

test("a pause is neither made nor ended by a change of the limits", async () => {
  settings = { ...begin, policy: { max_running: 2, paused: true } };
  await open();
  type("Longest run", "100");
  enter();
  await waitFor(() => expect(saved()).toMatchObject({ policy: { max_running: 2, max_duration_seconds: 100 } }));
  expect((saved() as { policy: object }).policy).not.toHaveProperty("paused");
});

test("what was typed is still there when one comes back, until it is discarded", async () => {
  await open();
  type("Longest run", "100");
  fireEvent.input(field("Configuration"), { target: { value: '{"gpus": 2}' } });
  cleanup();
  await open();
  expect([field("Longest run").value, field("Configuration").value]).toEqual(["100", '{"gpus": 2}']);
  fireEvent.click(screen.getByRole("button", { name: "Discard changes" }));
  await waitFor(() => expect(field("Longest run").value).toBe(""));
  cleanup();
  await open();
  expect(field("Longest run").value).toBe("");
});

test("who deletes a queue is told what goes with it", async () => {
  await open();
  fireEvent.click(screen.getByRole("button", { name: "Delete queue…" }));
  const dialog = screen.getByRole("dialog", { name: "Delete gpu?" });
  expect(dialog.textContent).toContain("3 items that wait end as stopped. Items that have ended can still be read.");
  expect(dialog.textContent).toContain("1 item of it is with an agent.");
});
