// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { createBrowserRouter, RouterProvider, useParams } from "react-router";
import { afterEach, expect, test } from "vitest";
import { useTabs } from "./tabs";

afterEach(cleanup);

function Page() {
  const { tab = "charts" } = useParams();
  const open = useTabs("/e/p", "charts", tab);
  return ["charts", "log"].map((key) => (
    <button key={key} type="button" aria-pressed={key === tab} onClick={() => open(key)}>
      {key}
    </button>
  ));
}

test("a tab has what was set on it when one comes back", async () => {
  window.history.replaceState(null, "", "/e/p?smooth=0.9&log=1");
  render(<RouterProvider router={createBrowserRouter([{ path: "/e/p/:tab?", Component: Page }])} />);
  const here = () => window.location.pathname + window.location.search;
  fireEvent.click(await screen.findByRole("button", { name: "log" }));
  await expect.poll(here).toBe("/e/p/log");
  fireEvent.click(await screen.findByRole("button", { name: "charts" }));
  await expect.poll(here).toBe("/e/p?smooth=0.9&log=1");
});
