// @vitest-environment jsdom
import { Refused, server } from "../testing/fake-server";
import { act, cleanup, render, screen } from "@testing-library/react";
import { createMemoryRouter, Outlet, RouterProvider } from "react-router";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BrokenPart } from "./broken";
import { behind } from "./routes";
import { Crumbs } from "./shell";

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
  // The router says in the console what it shows.
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  cleanup();
  server.clear();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const lost = new TypeError("Failed to fetch dynamically imported module: http://localhost/assets/usage.js");
const wait = async (ms: number) => act(async () => vi.advanceTimersByTimeAsync(ms));

test("a part that did not come is loaded as soon as the server answers, and once", async () => {
  const reload = vi.fn();
  server.on("GET /ready", new Refused(503, "unavailable", "not yet"));
  render(<BrokenPart error={lost} reload={reload} />);
  await wait(9_000);
  expect(reload).not.toHaveBeenCalled();
  server.on("GET /ready", { status: "ready" });
  await wait(2_500);
  expect(reload).toHaveBeenCalledTimes(1);
  // The page came again, and the part did not.
  cleanup();
  render(<BrokenPart error={lost} reload={reload} />);
  await wait(20_000);
  expect(reload).toHaveBeenCalledTimes(1);
});

test("a fault of a screen is shown as it is, and reloads nothing", async () => {
  const reload = vi.fn();
  server.on("GET /ready", { status: "ready" });
  render(<BrokenPart error={new TypeError("x is undefined")} reload={reload} />);
  await wait(9_000);
  expect(screen.getByRole("alert").textContent).toContain("x is undefined");
  expect(reload).not.toHaveBeenCalled();
});

test("a screen that fails leaves the frame where it is", async () => {
  vi.useRealTimers();
  const routes = behind(
    <>
      <nav>Main</nav>
      <Outlet />
    </>,
    [{ path: "/usage", load: async () => Promise.reject(lost) }],
  );
  render(<RouterProvider router={createMemoryRouter([{ hydrateFallbackElement: <></>, children: [routes] }], { initialEntries: ["/usage"] })} />);
  expect((await screen.findByRole("alert")).textContent).toContain("could not be loaded");
  expect(screen.getByRole("navigation").textContent).toBe("Main");
});

test("an address that is no text is shown as it is", () => {
  const router = createMemoryRouter([{ path: "*", element: <Crumbs /> }], { initialEntries: ["/dev/%E0%A4%A/jobs"] });
  render(<RouterProvider router={router} />);
  expect(screen.getByRole("navigation").textContent).toBe("dev%E0%A4%AJobs");
});
