// @vitest-environment jsdom
import { Refused, server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { drawAt } from "../../testing/at";
import { Component, localPath } from "./login";

afterEach(() => {
  cleanup();
  server.clear();
});

const open = (address = "/login") => drawAt(address, { "/login": <Component />, "/launch": <h1>Queues</h1>, "/": <h1>Home</h1> });
const field = (name: string) => screen.getByLabelText<HTMLInputElement>(name);
const type = (name: string, text: string) => fireEvent.change(field(name), { target: { value: text } });
const button = () => screen.getByRole<HTMLButtonElement>("button", { name: "Sign in" });

test("a refused sign-in is an alert, and what was typed stays", async () => {
  server.on("POST /session", new Refused(401, "unauthenticated", "the user name or the password is wrong"));
  open();
  expect(button().disabled).toBe(true);
  type("Username", "ana");
  expect(button().disabled).toBe(true);
  type("Password", "not this one");
  fireEvent.click(button());
  expect((await screen.findByRole("alert")).textContent).toContain("the user name or the password is wrong");
  expect([field("Username").value, field("Password").value]).toEqual(["ana", "not this one"]);
  expect(window.location.pathname).toBe("/login");
  // The next try is heard, and the alert goes with it.
  server.on("POST /session", {});
  type("Password", "this one");
  fireEvent.click(button());
  await screen.findByRole("heading", { name: "Home" });
  expect(server.sent.map(({ body }) => body)).toEqual([
    { username: "ana", password: "not this one" },
    { username: "ana", password: "this one" },
  ]);
});

test("a key alone signs in, without the spaces around it, and leads to where one wanted to go", async () => {
  server.on("POST /session", {});
  open("/login?next=%2Flaunch");
  type("API key", "  abc ");
  fireEvent.click(button());
  await screen.findByRole("heading", { name: "Queues" });
  expect(server.sent.map(({ body }) => body)).toEqual([{ api_key: "abc" }]);
});

test("nobody is led to another site", () => {
  expect(localPath("/launch?queue=a")).toBe("/launch?queue=a");
  expect(localPath("/dev/p/runs/r1/log?wrap=1#L57")).toBe("/dev/p/runs/r1/log?wrap=1#L57");
  for (const elsewhere of [null, "", "launch", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "/.//evil.example", "/..//evil.example"]) expect(localPath(elsewhere)).toBe("/");
});
