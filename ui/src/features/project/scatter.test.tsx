// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import type { Run } from "../../api/types";
import { Scatter } from "./scatter";

afterEach(cleanup);

const runs = [0.1, 0.2, 0.3].map((lr, index) => ({ id: `r${index}`, entity: "dev", project: "p", name: `run-${index}`, number: index + 1, config: { lr }, summary: { loss: index } })) as unknown as Run[];

function draw(partial: boolean, more: (() => void) | null) {
  render(
    <MemoryRouter>
      <Scatter runs={runs} keys={{ x: "config.lr", y: "summary.loss", logX: false, logY: false }} choices={[]} onKeys={() => undefined} onClose={() => undefined} partial={partial} more={more} />
    </MemoryRouter>,
  );
}

test("a scatter of a part of the runs says so, and draws more of them", () => {
  const more = vi.fn();
  draw(true, more);
  expect(screen.getByRole("img", { name: "summary.loss by config.lr, 3 runs" })).toBeTruthy();
  expect(screen.getByRole("status").textContent).toContain("the first 3 runs of the list");
  fireEvent.click(screen.getByRole("button", { name: "Draw more" }));
  expect(more).toHaveBeenCalledTimes(1);
  cleanup();
  // The next ones are on their way: it goes on saying so.
  draw(true, null);
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Draw more" }).disabled).toBe(true);
});

test("a scatter of all runs says nothing", () => {
  draw(false, null);
  expect(screen.queryByRole("status")).toBeNull();
  expect(screen.queryByRole("button", { name: "Draw more" })).toBeNull();
});
