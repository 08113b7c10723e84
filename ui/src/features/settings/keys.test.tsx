// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { Suspense } from "react";
import { MemoryRouter, Route, Routes } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { Component } from "./settings";

/** The server, as far as this page asks it. */
const { sent, keys } = vi.hoisted(() => {
  const key = (id: string, scope: string) => ({ id, description: `for ${id}`, prefix: "abcd", scope, created_at: "2026-01-01T00:00:00Z", expires_at: null });
  const found = { sent: [] as unknown[], keys: [key("one", "full")] };
  const me = { username: "ana", admin: false, entity: "ana", entities: [], scope: "full" };
  globalThis.fetch = async (asked) => {
    const request = asked as Request;
    const path = new URL(request.url).pathname;
    if (request.method === "POST") {
      const body = (await request.json()) as { scope: string };
      found.sent.push(body);
      found.keys.push(key("two", body.scope));
    }
    const answer = path.endsWith("/me") ? me : request.method === "POST" ? { api_key: "x".repeat(40), key: found.keys.at(-1) } : { items: found.keys, next: null };
    return new Response(JSON.stringify(answer), { headers: { "content-type": "application/json" } });
  };
  return found;
});
afterEach(cleanup);

test("a key is made with a scope, and the list says what each may", async () => {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <MemoryRouter initialEntries={["/settings/keys"]}>
        <Suspense>
          <Routes>
            <Route path="/settings/:tab" element={<Component />} />
          </Routes>
        </Suspense>
      </MemoryRouter>
    </QueryClientProvider>,
  );
  fireEvent.click(await screen.findByRole("button", { name: "New key" }));
  const form = screen.getByLabelText("New key", { selector: "dialog" });
  expect(within(form).getByLabelText<HTMLSelectElement>("May").value).toBe("full");
  fireEvent.change(within(form).getByLabelText("Description"), { target: { value: "a dashboard" } });
  fireEvent.change(within(form).getByLabelText("May"), { target: { value: "read" } });
  fireEvent.click(within(form).getByText("Make"));
  await within(form).findByText("x".repeat(40));
  expect(sent).toEqual([{ description: "a dashboard", scope: "read", expires_in_seconds: null }]);
  const table = screen.getByRole("table", { name: "API keys" });
  const row = async (text: string) => (await within(table).findByText(text)).closest("tr")!.textContent;
  expect(await row("for two")).toContain("read only");
  expect(await row("for one")).toContain("all that you may");
  expect(keys).toHaveLength(2);
});
