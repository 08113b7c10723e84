// @vitest-environment jsdom
import { server } from "../../testing/fake-server";
import { cleanup, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { drawAt } from "../../testing/at";
import { Component } from "./settings";

afterEach(() => {
  cleanup();
  server.clear();
});

const entity = (name: string, kind: string, role: string) => ({ name, kind, role });

function open(tab: string) {
  server.on("GET /me", { username: "ana", admin: false, entity: "team", entities: [entity("ana", "user", "admin"), entity("team", "team", "member")] });
  return drawAt(`/settings/${tab}`, { "/settings/:tab?": <Component /> });
}

test("the profile says who one is, where one belongs, and how programs reach this server", async () => {
  open("");
  const fact = async (name: string) => (await screen.findByText(name, { selector: "dt" })).nextElementSibling!.textContent;
  expect(await fact("User name")).toBe("ana");
  // Where runs go that name no entity; not always one's own.
  expect(await fact("Default entity")).toBe("team");
  expect(await fact("Server admin")).toBe("no");
  expect(await fact("Member of")).toBe("ana (admin), team (member)");
  expect(screen.getByText(/export WANDB_BASE_URL=/).textContent).toContain(window.location.origin);
});

test("secrets are told by their names, as a configuration writes them", async () => {
  server.on("GET /secrets", { items: ["HF_TOKEN", "aws"], next: null });
  open("secrets");
  const rows = within(await screen.findByRole("table", { name: "Secrets" })).getAllByRole("row");
  expect(rows.slice(1).map((row) => within(row).getAllByRole("cell").map((cell) => cell.textContent))).toEqual([
    ["HF_TOKEN", "secret:HF_TOKEN"],
    ["aws", "secret:aws"],
  ]);
});

test("who has no secret is told how agents get some", async () => {
  server.on("GET /secrets", { items: [], next: null });
  open("secrets");
  await screen.findByText("No queue of yours names a secret.");
  expect(screen.getByText(/secrets:\s+NAME: \{env:/)).toBeTruthy();
});
