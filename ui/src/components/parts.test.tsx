// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { Dialog } from "./parts";

afterEach(cleanup);

test("Esc closes the dialog that is on top, and not the one below it", () => {
  const [outer, inner] = [vi.fn(), vi.fn()];
  render(
    <Dialog title="Outer" name="Outer" onClose={outer}>
      <Dialog title="Inner" name="Inner" onClose={inner}>
        text
      </Dialog>
    </Dialog>,
  );
  fireEvent(screen.getByRole("dialog", { name: "Inner" }), new Event("cancel", { cancelable: true }));
  expect([outer.mock.calls.length, inner.mock.calls.length]).toEqual([0, 1]);
  fireEvent(screen.getByRole("dialog", { name: "Outer" }), new Event("cancel", { cancelable: true }));
  expect(outer).toHaveBeenCalledTimes(1);
});
