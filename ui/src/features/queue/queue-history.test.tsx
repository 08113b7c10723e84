// @vitest-environment jsdom
import { cleanup, render, screen, within } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import type { QueueHistoryLine } from "../../api/types";
import { HistoryLines } from "./queue-history";

afterEach(cleanup);

const line = (id: number, verb: string, changes: { path: string; from: unknown; to: unknown }[] = []) =>
  ({ id, time: "2026-11-20T10:00:00Z", actor: `user-${id}`, verb, kind: "queue", object: "q", changes }) as unknown as QueueHistoryLine;

test("each change says who, what was there and what is there now", () => {
  render(
    <HistoryLines
      lines={[
        line(4, "paused"),
        line(3, "changed", [
          { path: "policy.max_running", from: 2, to: 3 },
          { path: "config.env.MODE", from: "slow", to: null },
        ]),
        line(2, "changed", [{ path: "priority", from: true, to: false }]),
        line(1, "created"),
      ]}
    />,
  );
  const [paused, newest, older] = screen.getAllByRole("listitem");
  expect(paused!.textContent).toMatch(/^user-4 paused/);
  expect(newest!.querySelector("details")!.open).toBe(true);
  expect(older!.querySelector("details")!.open).toBe(false);
  expect(within(newest!).getByText("2 values", { exact: false })).toBeTruthy();
  expect([...newest!.querySelectorAll(".remove, .add")].map((row) => row.textContent)).toEqual(["- policy.max_running = 2", "+ policy.max_running = 3", "- config.env.MODE = slow"]);
});
