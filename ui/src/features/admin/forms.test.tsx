// @vitest-environment jsdom
import { Refused, server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { drawAt } from "../../testing/at";
import { Component } from "./admin";

afterEach(() => {
  cleanup();
  server.clear();
});

const user = (username: string, more: object = {}) => ({ username, admin: false, service: false, created_at: "2026-01-01T00:00:00Z", ...more });

function open(admin = true, address = "/admin") {
  server.on("GET /me", { username: "root", admin, entity: "root", entities: [{ name: "root", kind: "user", role: "admin" }] });
  server.on("GET /admin/users", { items: [user("root", { admin: true }), user("ben"), user("nightly", { service: true })], next: null });
  drawAt(address, { "/admin": <Component /> });
}
/** Opens a form by its button in the head of the page. */
async function form(button: string, name = button) {
  open();
  fireEvent.click(await screen.findByRole("button", { name: button }));
  const dialog = screen.getByRole("dialog", { name });
  const field = (label: string) => within(dialog).getByLabelText<HTMLInputElement>(label);
  return {
    dialog,
    field,
    type: (label: string, text: string) => fireEvent.input(field(label), { target: { value: text } }),
    send: () => fireEvent.submit(dialog.querySelector("form")!),
    /** What is said at a field, once it is. */
    said: async (label: string) => {
      await expect.poll(() => field(label).getAttribute("aria-invalid")).toBe("true");
      return document.getElementById(field(label).getAttribute("aria-describedby")!.split(" ")[0]!)!.textContent;
    },
  };
}

test("a user who is refused is told at the field, and the form keeps all of it", async () => {
  server.on("POST /admin/users", new Refused(422, "invalid", "username: an entity name `a b` contains ` `"));
  const { dialog, field, type, send, said } = await form("New user");
  type("Name", "a b");
  type("Password", "short");
  fireEvent.click(field("Admin of the server"));
  send();
  expect(await said("Name")).toBe("an entity name `a b` contains ` `");
  // At the field alone, which has the keyboard.
  expect(within(dialog).queryByRole("alert")).toBeNull();
  expect(document.activeElement).toBe(field("Name"));
  expect([field("Name").value, field("Password").value, field("Admin of the server").checked]).toEqual(["a b", "short", true]);
  // It was said about what stood there before.
  type("Name", "ana");
  await expect.poll(() => field("Name").getAttribute("aria-invalid")).toBeNull();
  server.on("POST /admin/users", new Refused(422, "invalid", "password: has 8 characters or more"));
  send();
  expect(await said("Password")).toBe("has 8 characters or more");
  expect(field("Name").getAttribute("aria-invalid")).toBeNull();
  server.on("POST /admin/users", new Refused(409, "already_exists", "the user name or key `ana` exists already"));
  type("Password", "long enough");
  send();
  expect(await said("Name")).toBe("the user name or key `ana` exists already");
  server.on("POST /admin/users", { username: "anna", api_key: "k".repeat(40) });
  type("Name", "anna");
  send();
  await within(dialog).findByText("k".repeat(40));
  expect(server.sent.at(-1)!.body).toEqual({ username: "anna", admin: true, password: "long enough" });
});

test("what is about no field is an alert, and nothing is lost either", async () => {
  server.on("POST /admin/users", new Refused(503, "unavailable", "the database is busy"));
  const { dialog, field, type, send } = await form("New user");
  type("Name", "ana");
  send();
  expect((await within(dialog).findByRole("alert")).textContent).toContain("the database is busy");
  expect(field("Name").value).toBe("ana");
  expect(field("Name").getAttribute("aria-invalid")).toBeNull();
});

test("a team whose name is taken is told so at the name", async () => {
  server.on("POST /admin/teams", new Refused(409, "already_exists", "the entity `ben` exists already"));
  const { dialog, field, type, send, said } = await form("New team");
  type("Name", "ben");
  send();
  expect(await said("Name")).toBe("the entity `ben` exists already");
  expect(field("Name").value).toBe("ben");
  server.on("POST /admin/teams", { name: "vision", members: 0 });
  type("Name", "vision");
  send();
  await within(dialog).findByText("Team vision is made. Add its members next.");
});

test("who adds somebody is told whether the team or the user is unknown", async () => {
  server.on("PUT /admin/teams/visoin/members/ben", new Refused(404, "not_found", "team `visoin` does not exist"));
  server.on("PUT /admin/teams/vision/members/bne", new Refused(404, "not_found", "user `bne` does not exist"));
  server.on("PUT /admin/teams/vision/members/ben", { username: "ben", role: "viewer" });
  const { dialog, field, type, send, said } = await form("Add to a team");
  type("Team", "visoin");
  type("User name", "ben");
  fireEvent.change(field("Role"), { target: { value: "viewer" } });
  send();
  expect(await said("Team")).toBe("team `visoin` does not exist");
  type("Team", "vision");
  type("User name", "bne");
  send();
  expect(await said("User name")).toBe("user `bne` does not exist");
  expect([field("Team").value, field("Role").value]).toEqual(["vision", "viewer"]);
  type("User name", "ben");
  send();
  await within(dialog).findByText("ben is viewer of vision.");
});

test("a service account that is refused is told at the team or the name", async () => {
  server.on("POST /admin/teams/none/service-accounts", new Refused(404, "not_found", "team `none` does not exist"));
  server.on("POST /admin/teams/vision/service-accounts", new Refused(422, "invalid", "name: an entity name `x y` contains ` `"));
  const { type, send, said } = await form("New service account");
  type("Team", "none");
  type("Name", "x y");
  send();
  expect(await said("Team")).toBe("team `none` does not exist");
  type("Team", "vision");
  send();
  expect(await said("Name")).toBe("an entity name `x y` contains ` `");
});

test("a user is deleted after typing the name; a refusal is an alert over the list", async () => {
  server.on("DELETE /admin/users/ben", new Refused(409, "conflict", "`ben` is the last admin of `vision`"));
  open();
  const rows = within(await screen.findByRole("table", { name: "Users" })).getAllByRole("row").slice(1);
  expect(rows.map((row) => within(row).getAllByRole("cell").slice(0, 2).map((cell) => cell.textContent))).toEqual([
    ["root", "admin"],
    ["ben", "person"],
    ["nightly", "service account"],
  ]);
  // Nobody deletes the account that one is signed in with.
  expect(within(rows[0]!).queryByRole("button")).toBeNull();
  fireEvent.click(within(rows[1]!).getByRole("button", { name: "Delete…" }));
  const asked = screen.getByRole("dialog", { name: "Delete ben?" });
  const yes = within(asked).getByRole<HTMLButtonElement>("button", { name: "Delete user" });
  expect(yes.disabled).toBe(true);
  fireEvent.change(within(asked).getByLabelText("Type ben to confirm"), { target: { value: "ben" } });
  fireEvent.click(yes);
  expect((await screen.findByRole("alert")).textContent).toContain("is the last admin of");
  expect(server.sent.map(({ method, path }) => `${method} ${path}`)).toEqual(["DELETE /admin/users/ben"]);
});

test("teams are filtered as users are, and the open one stays open", async () => {
  server.on("GET /admin/teams", { items: [{ name: "speech", members: 1 }, { name: "vision", members: 4 }], next: null });
  server.on("GET /entities/vision", { entity: { name: "vision", kind: "team", members: [] } });
  open(true, "/admin?tab=teams&team=vision");
  fireEvent.change(await screen.findByRole("combobox", { name: "Filter teams" }), { target: { value: "spee" } });
  expect(within(screen.getByRole("table", { name: "Teams" })).getAllByRole("row")).toHaveLength(2);
  expect(within(screen.getByRole("table", { name: "Teams" })).getByRole("button", { name: "speech" })).toBeTruthy();
  await screen.findByRole("table", { name: "Members of vision" });
});

test("who is no admin of the server is told so, and nothing is asked", async () => {
  open(false);
  await screen.findByText("This page is for admins of the server.");
  expect(screen.queryByRole("button")).toBeNull();
});

test("teams and people are offered by name", async () => {
  server.on("GET /admin/teams", { items: [{ name: "vision", members: 2 }], next: null });
  const { field } = await form("Add to a team");
  const offered = (label: string) => [...field(label).list!.options].map(({ value }) => value);
  await expect.poll(() => offered("Team")).toEqual(["vision"]);
  expect(offered("User name")).toEqual(["root", "ben"]);
});
