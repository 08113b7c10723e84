// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Log } from "./log";
import { earlier, endOf, holding, later, MOST_ROWS } from "./log-window";

const LINES = 1_000_000;

vi.mock("../api/log", () => ({
  TAIL: 1_000,
  readLog: async (_path: string, part: { tail?: number; from_line?: number; lines?: number }) => {
    const first = part.tail ? LINES - part.tail + 1 : (part.from_line ?? 1);
    const many = Math.min(part.tail ?? part.lines ?? 0, LINES - first + 1);
    return Promise.resolve({ text: Array.from({ length: many }, (_, i) => `line ${first + i}\n`).join(""), first, lines: LINES });
  },
}));
vi.mock("../api/streams", () => ({ followLog: () => () => undefined }));

beforeEach(() => {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {
        return undefined;
      }
      disconnect() {
        return undefined;
      }
    },
  );
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  location.hash = "";
});

const draw = async () => {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <Log path="/log" file="a.log" />
    </QueryClientProvider>,
  );
  const box = await screen.findByRole("log");
  await vi.waitFor(() => expect(screen.getByText(/^1,000,000 lines/)).toBeTruthy());
  // What a browser says when it scrolled.
  await act(async () => Promise.resolve(fireEvent.scroll(box)));
  return box;
};

test("a line before the last 900,000 is drawn when a link names it", async () => {
  location.hash = "#L777";
  await draw();
  expect(await screen.findByText("line 777")).toBeTruthy();
  expect(document.querySelector("#L777")?.className).toContain("hit");
});

test("the window moves to earlier lines and back, and what one reads stays", async () => {
  const box = await draw();
  expect(document.querySelector("#L1")).toBeNull();
  // At the first line that is laid out.
  Object.defineProperty(box, "scrollHeight", { value: MOST_ROWS * 18, configurable: true });
  box.scrollTop = 0;
  await act(async () => Promise.resolve(fireEvent.scroll(box)));
  expect(await screen.findByText("line 100001")).toBeTruthy();
  await act(async () => Promise.resolve(fireEvent.click(screen.getByRole("button", { name: "Show earlier lines" }))));
  await act(async () => Promise.resolve(fireEvent.scroll(box)));
  expect(box.scrollTop).toBe(100_000 * 18);
  expect(await screen.findByText("line 100001")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Show earlier lines" })).toBeNull();
  box.scrollTop = 0;
  await act(async () => Promise.resolve(fireEvent.scroll(box)));
  expect(await screen.findByText("line 1")).toBeTruthy();
  await act(async () => Promise.resolve(fireEvent.click(screen.getByRole("button", { name: "Show later lines" }))));
  expect(screen.getByRole("button", { name: "Show earlier lines" })).toBeTruthy();
});

test("windows stay inside the log", () => {
  expect([endOf(10), endOf(LINES)]).toEqual([0, 100_000]);
  expect(holding(100_000, 100_001, LINES)).toBe(100_000);
  expect(holding(100_000, LINES, LINES)).toBe(100_000);
  expect(holding(100_000, 100_000, LINES)).toBe(0);
  expect(holding(0, 4_000_000, 5_000_000)).toBe(3_550_000);
  expect(holding(0, 5_000_000, 5_000_000)).toBe(4_100_000);
  expect([earlier(100_000), earlier(4_100_000)]).toEqual([0, 3_650_000]);
  expect([later(0, LINES), later(0, 5_000_000)]).toEqual([100_000, 450_000]);
});
