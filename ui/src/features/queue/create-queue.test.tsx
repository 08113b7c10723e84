// @vitest-environment jsdom
import { Refused, server } from "../../testing/fake-server";
import { cleanup, configure, fireEvent, screen, waitFor } from "@testing-library/react";
import { useState } from "react";
import { afterEach, beforeEach, expect, test } from "vitest";
import { drawAt } from "../../testing/at";
import { CreateQueue } from "./create-queue";
import { keepDraft } from "./kept-drafts";

// A loaded machine is given time.
configure({ asyncUtilTimeout: 10_000 });

beforeEach(() => {
  keepDraft("create queue", undefined);
  server.on("GET /me", { username: "ana", entity: "ana", admin: false, entities: [{ name: "ana", kind: "user", role: "admin" }] });
});
afterEach(() => {
  cleanup();
  server.clear();
});

function Page() {
  const [open, setOpen] = useState(true);
  return open ? <CreateQueue onClose={() => setOpen(false)} /> : <button onClick={() => setOpen(true)}>Open</button>;
}
const field = (label: string) => screen.getByLabelText<HTMLInputElement>(label);
const type = (label: string, text: string) => fireEvent.input(field(label), { target: { value: text } });
const send = () => fireEvent.submit(field("Name").form!);
const whyNot = async (label: string) => {
  await waitFor(() => expect(field(label).getAttribute("aria-invalid")).toBe("true"));
  return document.getElementById(field(label).getAttribute("aria-describedby")!.split(" ")[0]!)!.textContent;
};
async function open() {
  drawAt("/", { "/": <Page /> });
  await screen.findByLabelText("Name");
}

test("a refusal stands at its field, whatever it is about, and the form keeps all of it", async () => {
  await open();
  type("Configuration", '{"cpus": 2}');
  for (const [refused, label, why] of [
    [new Refused(422, "invalid", "name: a queue name has no `/`"), "Name", "a queue name has no `/`"],
    [new Refused(409, "already_exists", "the queue `a` exists already"), "Name", "the queue `a` exists already"],
    [new Refused(422, "target_unknown", "target: `docker` is not a target"), "Target", "`docker` is not a target"],
    [new Refused(422, "invalid", "config.env.A: is no text"), "Configuration", "env.A: is no text"],
  ] as const) {
    server.on("POST /entities/ana/queues", refused);
    type("Name", `a ${why}`);
    send();
    expect(await whyNot(label)).toBe(why);
    await waitFor(() => expect(document.activeElement).toBe(field(label)));
    expect(screen.queryByRole("alert")).toBeNull();
    expect(field("Configuration").value).toBe('{"cpus": 2}');
  }
  server.on("POST /entities/ana/queues", new Refused(403, "forbidden", "only admins make queues"));
  send();
  expect((await screen.findByRole("alert")).textContent).toContain("only admins make queues");
});

test("a form that was closed by a slip is as it was; Cancel empties it", async () => {
  await open();
  type("Name", "gpu");
  type("Configuration", "{");
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  fireEvent.click(screen.getByRole("button", { name: "Open" }));
  expect([field("Name").value, field("Configuration").value]).toEqual(["gpu", "{"]);
  fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  fireEvent.click(screen.getByRole("button", { name: "Open" }));
  expect(field("Name").value).toBe("");
});
