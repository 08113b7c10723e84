// @vitest-environment jsdom
import { Refused, server } from "../../testing/fake-server";
import { cleanup, fireEvent, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { drawAt } from "../../testing/at";
import { Component } from "./authorize";

afterEach(() => {
  cleanup();
  server.clear();
});

const key = "k".repeat(40);

function open() {
  server.on("GET /me", { username: "ana", admin: false, entity: "ana", entities: [] });
  return drawAt("/authorize", { "/authorize": <Component /> });
}

test("a key is made when one asks, and is not there when one comes back", async () => {
  server.on("POST /me/keys", { api_key: key });
  const page = open();
  const make = await screen.findByRole("button", { name: "Make a new API key" });
  expect(document.body.textContent).toContain("You are signed in as ana.");
  // Looking makes nothing.
  expect(server.sent).toEqual([]);
  fireEvent.click(make);
  await screen.findByText(key);
  // A second one would be made by nobody's wish.
  expect(screen.queryByRole("button", { name: "Make a new API key" })).toBeNull();
  expect(server.sent).toEqual([{ method: "POST", path: "/me/keys", body: { description: "made on the authorize page" } }]);
  // Nothing keeps its text: neither what was read from the server nor the browser.
  expect(JSON.stringify(page.queries.getQueryCache().getAll().map((query) => query.state.data as unknown))).not.toContain(key);
  expect(JSON.stringify({ ...localStorage, ...sessionStorage }) + window.location.href).not.toContain(key);
  page.unmount();
  open();
  await screen.findByRole("button", { name: "Make a new API key" });
  expect(screen.queryByText(key)).toBeNull();
});

test("a hand that clicks twice makes one key", async () => {
  server.on("POST /me/keys", { api_key: key });
  open();
  const make = await screen.findByRole("button", { name: "Make a new API key" });
  fireEvent.click(make);
  fireEvent.click(make);
  await screen.findByText(key);
  expect(server.sent.length).toBe(1);
});

test("a refused key is an alert from which one tries again", async () => {
  server.on("POST /me/keys", new Refused(403, "read_only_key", "this key only reads"));
  open();
  fireEvent.click(await screen.findByRole("button", { name: "Make a new API key" }));
  expect((await screen.findByRole("alert")).textContent).toContain("this key only reads");
  server.on("POST /me/keys", { api_key: key });
  fireEvent.click(screen.getByRole("button", { name: "Retry" }));
  await screen.findByText(key);
  expect(screen.queryByRole("alert")).toBeNull();
});
