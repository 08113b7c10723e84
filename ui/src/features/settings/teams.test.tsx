// @vitest-environment jsdom
import { Refused, server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { Notices } from "../../components/notice";
import { drawAt } from "../../testing/at";
import { Component } from "./settings";

afterEach(() => {
  cleanup();
  server.clear();
});

const members = [
  { username: "ana", role: "admin", service: false },
  { username: "ben", role: "viewer", service: false },
  { username: "nightly", role: "member", service: true },
];

/** The teams of somebody, at a server that keeps roles. */
function open(role: string | null, admin = false) {
  const roles = new Map(members.map((member) => [member.username, member.role]));
  server.on("GET /me", { username: "ana", admin, entity: "ana", entities: [{ name: "ana", kind: "user", role: "admin" }, ...(role ? [{ name: "vision", kind: "team", role }] : [])] });
  server.on("GET /entities/vision", () => ({ entity: { name: "vision", kind: "team", members: members.map((member) => ({ ...member, role: roles.get(member.username) })) } }));
  for (const { username } of members)
    server.on(`PUT /admin/teams/vision/members/${username}`, ({ body }) => {
      roles.set(username, (body as { role: string }).role);
      return { username, role: roles.get(username) };
    });
  drawAt("/settings/teams", {
    "/settings/:tab": (
      <>
        <Component />
        <Notices />
      </>
    ),
  });
}
const table = async () => screen.findByRole("table", { name: "Members of vision" });
const roleOf = async (name: string) => within(await table()).findByRole<HTMLSelectElement>("combobox", { name: `Role of ${name}` });

test("who is in no team is told who makes one", async () => {
  open(null);
  await screen.findByText(/An admin of the server makes one and adds you/);
  cleanup();
  server.clear();
  open(null, true);
  expect((await screen.findByRole("link", { name: /Make one on the admin page/ })).getAttribute("href")).toBe("/admin");
});

test("a member sees who is in the team with which role, and changes nothing", async () => {
  open("member");
  const rows = within(await table()).getAllByRole("row").slice(1);
  expect(rows.map((row) => within(row).getAllByRole("cell").map((cell) => cell.textContent))).toEqual([
    ["ana", "admin", "person"],
    ["ben", "viewer", "person"],
    ["nightly", "member", "service account"],
  ]);
  const team = screen.getByRole("region", { name: "vision" });
  expect(team.textContent).toContain("you are member");
  expect([...within(team).queryAllByRole("button"), ...within(team).queryAllByRole("combobox")]).toEqual([]);
});

test("an admin changes a role, and takes it back", async () => {
  open("admin");
  fireEvent.change(await roleOf("ben"), { target: { value: "member" } });
  await screen.findByText("ben is member of vision now.");
  await expect.poll(async () => (await roleOf("ben")).value).toBe("member");
  fireEvent.click(screen.getByRole("button", { name: "Undo" }));
  await expect.poll(async () => (await roleOf("ben")).value).toBe("viewer");
  expect(server.sent.map(({ body }) => body)).toEqual([{ role: "member" }, { role: "viewer" }]);
});

test("a role that is refused is as it was, and the reason is an alert", async () => {
  open("admin");
  server.on("PUT /admin/teams/vision/members/ana", new Refused(409, "conflict", "`ana` is the last admin of `vision`"));
  fireEvent.change(await roleOf("ana"), { target: { value: "viewer" } });
  expect((await screen.findByRole("alert")).textContent).toContain("is the last admin of");
  expect((await roleOf("ana")).value).toBe("admin");
});

test("an admin makes a service account, whose key is shown once", async () => {
  open("admin");
  server.on("POST /admin/teams/vision/service-accounts", { username: "weekly", api_key: "s".repeat(40) });
  fireEvent.click(await screen.findByRole("button", { name: "New service account" }));
  const form = screen.getByRole("dialog", { name: "New service account" });
  // The team is the one whose button it was.
  expect(within(form).getByLabelText<HTMLInputElement>("Team").value).toBe("vision");
  expect(within(form).getByLabelText<HTMLInputElement>("Team").readOnly).toBe(true);
  fireEvent.change(within(form).getByLabelText("Name"), { target: { value: "weekly" } });
  fireEvent.click(within(form).getByRole("button", { name: "Make" }));
  await within(form).findByText("s".repeat(40));
  expect(server.sent).toEqual([{ method: "POST", path: "/admin/teams/vision/service-accounts", body: { name: "weekly" } }]);
  fireEvent.click(within(form).getByRole("button", { name: "Done" }));
  expect(screen.queryByText("s".repeat(40))).toBeNull();
});

test("removing a service account says that its keys go with it, and asks first", async () => {
  open("admin");
  server.on("DELETE /admin/teams/vision/members/nightly", {});
  fireEvent.click(await within(await table()).findByRole("button", { name: "Remove nightly" }));
  const asked = screen.getByRole("dialog", { name: "Remove nightly from vision?" });
  expect(asked.textContent).toContain("Without another team the account and its keys are deleted.");
  fireEvent.click(within(asked).getByRole("button", { name: "Cancel" }));
  expect(server.sent).toEqual([]);
  fireEvent.click(within(await table()).getByRole("button", { name: "Remove ben" }));
  expect(screen.getByRole("dialog", { name: "Remove ben from vision?" }).textContent).not.toContain("keys are deleted");
});
