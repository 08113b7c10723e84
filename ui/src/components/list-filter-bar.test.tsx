// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import type { Fields } from "./list-filter";
import { useListFilter } from "./list-filter-bar";

afterEach(cleanup);

interface Row {
  name: string;
  state: string;
}
const rows: Row[] = [
  { name: "one", state: "ready" },
  { name: "two", state: "paused" },
  { name: "three", state: "ready" },
];
const fields: Fields<Row> = { state: (row) => row.state, name: (row) => row.name };

function List() {
  const filter = useListFilter("Filter rows", ["state", "name"], { state: ["ready", "paused"] });
  return (
    <>
      {filter.bar}
      {filter.none(filter.keep(rows, fields))}
      <output>{filter.keep(rows, fields).map((row) => row.name).join()}</output>
    </>
  );
}

function open(address: string) {
  window.history.replaceState(null, "", address);
  const router = createBrowserRouter([{ path: "/list", element: <List /> }]);
  render(<RouterProvider router={router} />);
  return router;
}

const shown = () => screen.getByRole("status").textContent;
const field = () => screen.getByRole<HTMLInputElement>("combobox", { name: "Filter rows" });
const type = (text: string) => fireEvent.change(field(), { target: { value: text } });

test("words filter while one types, and are in the address a moment later", async () => {
  const router = open("/list");
  type("t");
  expect(shown()).toBe("two,three");
  type("thr");
  expect(shown()).toBe("three");
  expect(window.location.search).toBe("");
  await expect.poll(() => window.location.search).toBe("?q=thr");
  router.dispose();
});

test("a chip is made by Enter, filters once it is whole, and goes again", async () => {
  const router = open("/list");
  type("state:");
  expect(shown()).toBe("one,two,three");
  expect(screen.getAllByRole("option").map((option) => option.textContent)).toEqual(["state:ready", "state:paused"]);
  type("state:ready");
  fireEvent.keyDown(field(), { key: "Enter" });
  await expect.poll(shown).toBe("one,three");
  expect(field().value).toBe("");
  await expect.poll(() => window.location.search).toBe("?f=state%3Dready");
  type("one");
  expect(shown()).toBe("one");
  type("");
  fireEvent.click(screen.getByRole("button", { name: "Remove the filter state = ready" }));
  await expect.poll(shown).toBe("one,two,three");
  router.dispose();
});

test("a link shows the filtered list", async () => {
  const router = open("/list?f=state%3Dready&q=one");
  expect(shown()).toBe("one");
  expect(field().value).toBe("one");
  // What is clicked goes back into the field.
  fireEvent.click(screen.getByRole("button", { name: "state = ready" }));
  expect(field().value).toBe("state=ready");
  await expect.poll(shown).toBe("one,two,three");
  router.dispose();
});

test("when nothing is left the list says so, and leads back", async () => {
  const router = open("/list?f=state%3Dgone&q=x");
  expect(screen.getByText("Nothing fits the filters.")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Clear the filters" }));
  await expect.poll(shown).toBe("one,two,three");
  await expect.poll(() => window.location.search).toBe("");
  expect(screen.queryByText("Nothing fits the filters.")).toBeNull();
  router.dispose();
});
