// @vitest-environment jsdom
import { Refused, server } from "../testing/fake-server";
import { act, cleanup, fireEvent, screen, waitFor } from "@testing-library/react";
import { useState } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useQuery } from "@tanstack/react-query";
import { cache } from "../api/cache";
import { keysQuery } from "../api/queries";
import { Dialog } from "../components/parts";
import { drawAt } from "../testing/at";
import { SessionBoundary } from "./session";

const refused = new Refused(401, "unauthenticated", "sign in first");
/** What the stream of events was told when it broke. */
let streams: { readyState: number; onerror: (() => void) | null; close: () => void }[] = [];

beforeEach(() => {
  streams = [];
  vi.stubGlobal(
    "EventSource",
    class {
      static readonly CLOSED = 2;
      readyState = 1;
      onerror = null;
      constructor() {
        streams.push(this);
      }
      close() {
        this.readyState = 2;
      }
    },
  );
  signIn("ana");
  server.on("GET /me/keys", { items: [] });
  server.on("GET /ready", { status: "ready", version: "1" });
});
afterEach(() => {
  cleanup();
  cache.clear();
  server.clear();
  vi.unstubAllGlobals();
});

const signIn = (username: string) => server.on("GET /me", { username, admin: false, entity: username, entities: [] });
const signOut = () => {
  server.on("GET /me", refused);
  server.on("GET /me/keys", refused);
};

function Page() {
  const [open, setOpen] = useState(false);
  const keys = useQuery(keysQuery);
  return (
    <>
      <h1>Log</h1>
      <input aria-label="Filter" data-filter />
      <button type="button" onClick={() => void keys.refetch()}>
        Read again
      </button>
      <button type="button" onClick={() => setOpen(true)}>
        Open
      </button>
      {open && (
        <Dialog title="A form" name="A form" onClose={() => setOpen(false)}>
          <input aria-label="Name" />
        </Dialog>
      )}
    </>
  );
}

const open = (address: string) => drawAt(address, { "/:entity/:project": <Page />, "/login": <h1>Sign in</h1> }, { queries: cache, frame: <SessionBoundary /> });
/** The stream begins when the window has a slot for it. */
const opened = async () => {
  await expect.poll(() => streams.length).toBeGreaterThan(0);
  return streams.at(-1)!;
};
const at = () => window.location.pathname + decodeURIComponent(window.location.search);

test("a link opened signed out comes back to its line after the sign-in", async () => {
  signOut();
  open("/dev/log?wrap=1#L57");
  await screen.findByRole("heading", { name: "Sign in" });
  expect(at()).toBe("/login?next=/dev/log?wrap=1#L57");
});

test("who is signed out meanwhile goes to the sign-in page at the first refusal", async () => {
  open("/dev/log#L3");
  await screen.findByRole("heading", { name: "Log" });
  fireEvent.input(screen.getByLabelText("Filter"), { target: { value: "words" } });
  signOut();
  fireEvent.click(screen.getByRole("button", { name: "Read again" }));
  await screen.findByRole("heading", { name: "Sign in" });
  expect(at()).toBe("/login?next=/dev/log#L3");
});

test("a stream that is refused asks whether there is a session", async () => {
  open("/dev/log");
  await screen.findByRole("heading", { name: "Log" });
  signOut();
  const stream = await opened();
  stream.readyState = 2;
  act(() => stream.onerror?.());
  await screen.findByRole("heading", { name: "Sign in" });
});

test("a page on which something is typed stays, says it, and goes on when the session is back", async () => {
  open("/dev/log");
  fireEvent.click(await screen.findByRole("button", { name: "Open" }));
  fireEvent.input(screen.getByLabelText("Name"), { target: { value: "half a na" } });
  signOut();
  fireEvent.click(screen.getByRole("button", { name: "Read again", hidden: true }));
  const dialog = screen.getByRole("dialog", { name: "A form" });
  await waitFor(() => expect(dialog.textContent).toContain("You are signed out."));
  expect(screen.getByText("Signed out")).toBeTruthy();
  expect([screen.getByLabelText<HTMLInputElement>("Name").value, window.location.pathname]).toEqual(["half a na", "/dev/log"]);
  // Somebody signs in in another tab.
  signIn("ana");
  server.on("GET /me/keys", { items: [] });
  await act(async () => cache.refetchQueries({ queryKey: ["me"] }));
  await waitFor(() => expect(dialog.textContent).not.toContain("You are signed out."));
  expect(screen.getByLabelText<HTMLInputElement>("Name").value).toBe("half a na");
  // Once it is closed there is nothing to stay for.
  signOut();
  fireEvent.click(screen.getByRole("button", { name: "Close" }));
  fireEvent.click(screen.getByRole("button", { name: "Read again" }));
  await screen.findByRole("heading", { name: "Sign in" });
});

test("the foot says at once that the server is away, and that it is back", async () => {
  open("/dev/log");
  await screen.findByRole("heading", { name: "Log" });
  server.on("GET /ready", new Refused(502, "bad_gateway", "nobody there"));
  const stream = await opened();
  stream.readyState = 0;
  act(() => stream.onerror?.());
  await screen.findByText("The server does not answer");
  server.on("GET /ready", { status: "ready", version: "1" });
  await waitFor(() => expect(screen.queryByText("The server does not answer")).toBeNull(), { timeout: 4_000 });
});
