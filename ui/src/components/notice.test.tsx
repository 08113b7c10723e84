// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Problem } from "../api/client";
import { Notices, say, warn } from "./notice";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const wait = async (ms: number) => act(async () => vi.advanceTimersByTimeAsync(ms));

test("a notice says what was done and takes it back once", async () => {
  const undo = vi.fn(async () => Promise.resolve());
  render(<Notices />);
  act(() => say("Paused q.", undo));
  fireEvent.click(screen.getByRole("button", { name: "Undo" }));
  await wait(0);
  expect(undo).toHaveBeenCalledOnce();
  expect(screen.queryByText("Paused q.")).toBeNull();
});

test("it goes by itself, but not from under the pointer", async () => {
  render(<Notices />);
  act(() => say("Tagged 3 runs.", async () => Promise.resolve()));
  fireEvent.pointerEnter(screen.getByText("Tagged 3 runs.").parentElement!);
  await wait(20_000);
  fireEvent.pointerLeave(screen.getByText("Tagged 3 runs.").parentElement!);
  await wait(9_000);
  expect(screen.queryByText("Tagged 3 runs.")).not.toBeNull();
  await wait(1_500);
  expect(screen.queryByText("Tagged 3 runs.")).toBeNull();
});

test("what cannot be undone has no button, and a refused undo says why and stays", async () => {
  render(<Notices />);
  act(() => say("Stopped 2 items."));
  expect(screen.queryByRole("button", { name: "Undo" })).toBeNull();
  await wait(11_000);
  act(() => say("Saved q.", async () => Promise.reject(new Problem(403, { code: "forbidden", message: "Only admins may." }))));
  fireEvent.click(screen.getByRole("button", { name: "Undo" }));
  await wait(20_000);
  expect(screen.getByText(/It could not be undone: Only admins may\./)).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Dismiss" }));
  expect(screen.queryByText("Saved q.")).toBeNull();
});

test("a warning is said once and stays until it is dismissed, whatever else is said", async () => {
  render(<Notices />);
  act(() => warn(["An agent misreads `gpus`."]));
  act(() => warn(["An agent misreads `gpus`."]));
  for (const text of ["one", "two", "three", "four"]) act(() => say(text));
  await wait(60_000);
  expect(screen.queryByText("four")).toBeNull();
  expect(screen.getAllByText(/An agent misreads/)).toHaveLength(1);
  fireEvent.click(screen.getByRole("button", { name: "Dismiss" }));
  expect(screen.queryByText(/An agent misreads/)).toBeNull();
});
