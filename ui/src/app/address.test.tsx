// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { idsOf, idsText, put, useAddress } from "./address";

afterEach(cleanup);

function Controls() {
  const [params, change] = useAddress();
  return (
    <>
      <input type="checkbox" aria-label="Log axis" checked={params.get("log") === "1"} onChange={(event) => change((next) => put(next, "log", event.target.checked ? "1" : ""), { replace: true })} />
      <button type="button" onClick={() => change((next) => next.set("hide", "run-1"))}>
        Hide
      </button>
      <output>{params.toString()}</output>
    </>
  );
}

/** Two screens' worth of controls, as a page has them: what one asks for, the other must not undo. */
function open(address: string) {
  window.history.replaceState(null, "", address);
  const router = createBrowserRouter([{ path: "/page", element: <><Controls /><Controls /></> }]);
  render(<RouterProvider router={router} />);
  return router;
}

test("a control shows what was asked before the page is drawn anew", async () => {
  const router = open("/page?f=seed%3C3");
  const box = screen.getAllByRole<HTMLInputElement>("checkbox")[0]!;
  // No waiting between the click and the look: a browser that is clicked by a person does not wait either.
  box.click();
  expect(box.checked).toBe(true);
  await act(async () => Promise.resolve());
  await expect.poll(() => window.location.search).toBe("?f=seed%3C3&log=1");
  box.click();
  expect(box.checked).toBe(false);
  await expect.poll(() => window.location.search).toBe("?f=seed%3C3");
  router.dispose();
});

test("changes of two components within a moment both hold", async () => {
  const router = open("/page?order=name");
  screen.getAllByRole("button")[0]!.click();
  screen.getAllByRole("checkbox")[1]!.click();
  await expect.poll(() => window.location.search).toBe("?order=name&hide=run-1&log=1");
  await expect.poll(() => screen.getAllByRole("status").map((output) => output.textContent)).toEqual(["order=name&hide=run-1&log=1", "order=name&hide=run-1&log=1"]);
  router.dispose();
});

test("another place takes the word back, and the way back leads to it", async () => {
  const router = open("/page");
  fireEvent.click(screen.getAllByRole("button")[0]!);
  await expect.poll(() => window.location.search).toBe("?hide=run-1");
  await act(async () => router.navigate("/page?log=1"));
  expect(screen.getAllByRole("status")[0]!.textContent).toBe("log=1");
  await act(async () => router.navigate(-1));
  await expect.poll(() => screen.getAllByRole("status")[0]!.textContent).toBe("hide=run-1");
  router.dispose();
});

test("ids of an address are as many as it has room for, the first ones", () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => `run${String(index).padStart(5, "0")}`);
  const text = idsText(ids);
  expect(new URLSearchParams({ pick: text }).toString().length).toBeLessThan(4_100);
  const back = idsOf(new URLSearchParams({ pick: text }), "pick");
  expect(back.length).toBeGreaterThan(300);
  expect(back).toEqual(ids.slice(0, back.length));
  expect(idsText([])).toBe("");
  expect(idsOf(new URLSearchParams(), "pick")).toEqual([]);
});
