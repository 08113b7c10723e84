// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { cleanup, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { launchFits, pastable, PasteFrom, runsThatFit } from "./paste-from";

/** What the server was asked. */
const { asked, server } = vi.hoisted(() => {
  const found = { asked: [] as URL[], server: { answer: (_url: URL): unknown => null } };
  globalThis.fetch = async (request) => {
    const url = new URL((request as Request).url);
    found.asked.push(url);
    return Promise.resolve(new Response(JSON.stringify(found.server.answer(url)), { headers: { "content-type": "application/json" } }));
  };
  return found;
});
/** What it answers, by path. */
const answers: Record<string, (url: URL) => unknown> = {
  "/api/v1/items": () => ({ items: [{ id: "item-1", name: "warm-up", run: null, state: "finished", author: "user-1", created_at: "2026-01-01T00:00:00Z", inputs: { lr: 0.1 } }], next: null }),
  "/api/v1/entities/team-a/projects/digits/runs": (url) => ({ items: [{ id: "r1", name: "by-hand", state: "finished", entity: "team-a", project: "digits", created_at: "2026-01-01T00:00:00Z", config: {} }].filter(() => !url.searchParams.get("filter")?.includes("nothing")), next: null }),
  "/api/v1/entities/team-a/projects/digits/runs/r1": () => ({ run: { id: "r1", name: "by-hand", state: "finished", config: { lr: 0.5, model: { width: 8 }, _wandb: {} } } }),
};
server.answer = (url) => answers[url.pathname]?.(url);
afterEach(cleanup);

test("the values of a launch, and the config of a run that nobody launched, are pasted", async () => {
  const onPaste = vi.fn();
  render(
    <QueryClientProvider client={new QueryClient()}>
      <PasteFrom job="team-a/digits/train" entity="team-a" project="digits" onPaste={onPaste} />
    </QueryClientProvider>,
  );
  const open = () => fireEvent.click(screen.getByRole("button", { name: "Paste from…" }));
  open();
  fireEvent.click(await screen.findByText("warm-up"));
  expect(onPaste).toHaveBeenLastCalledWith({ lr: 0.1 });
  open();
  fireEvent.click(await screen.findByText("by-hand"));
  await vi.waitFor(() => expect(onPaste).toHaveBeenLastCalledWith({ lr: 0.5, model: { width: 8 } }));
  open();
  // It looks among both, and asks the server for runs.
  const dialog = screen.getByLabelText("Paste from");
  fireEvent.change(within(dialog).getByLabelText("Find launches and runs"), { target: { value: "nothing" } });
  await within(dialog).findByText("No run fits.");
  expect(within(dialog).queryByText("warm-up")).toBeNull();
  expect(asked.at(-1)!.searchParams.get("filter")).toBe('{"display_name":{"$regex":"(?i)nothing"}}');
});

test("launches are found by what one knows of them, runs by a name as it is or a filter of the table", () => {
  const item = { id: "01abc", name: null, run: "swift-1", state: "failed", author: "user-1" };
  expect(["SWIFT", "abc", "fail", "user", ""].every((text) => launchFits(item, text))).toBe(true);
  expect(launchFits(item, "slow")).toBe(false);
  expect(runsThatFit("a.b (c)")).toBe('{"display_name":{"$regex":"(?i)a\\\\.b \\\\(c\\\\)"}}');
  expect(runsThatFit("lr>0.1")).toBe('{"config.lr":{"$gt":0.1}}');
  expect(runsThatFit("  ")).toBeUndefined();
  expect(pastable({ lr: 1, _wandb: {} })).toEqual({ lr: 1 });
});
