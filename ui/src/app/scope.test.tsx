// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { createBrowserRouter, Outlet, RouterProvider } from "react-router";
import { afterEach, expect, test } from "vitest";
import { meQuery } from "../api/queries";
import { mayIn, scopeFor, useEntitySwitch, useScope } from "./scope";

afterEach(cleanup);

const me = { username: "dev", admin: false, entity: "dev", entities: ["dev", "team-a", "team-b"].map((name) => ({ name, kind: "team", role: "admin" })) };

function Frame() {
  const [{ chosen }, choose] = useEntitySwitch();
  return (
    <>
      <select aria-label="Entity" value={chosen} onChange={(event) => choose(event.target.value)}>
        <option value="">All entities</option>
        {me.entities.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <Outlet />
    </>
  );
}

const Shown = () => <output>{useScope().entities.join()}</output>;

function open(address: string) {
  window.history.replaceState(null, "", address);
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
  queries.setQueryData(meQuery.queryKey, me as never);
  const router = createBrowserRouter([{ element: <Frame />, children: ["/launch", "/agents", "/:entity/:project"].map((path) => ({ path, element: <Shown /> })) }]);
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return router;
}

const shown = () => screen.getByRole("status").textContent;
const search = () => window.location.search;

// What was said last in a tab counts in it: these stand in the order in which one does them.
test("who never chose sees all, and has plain addresses", async () => {
  const router = open("/launch");
  await act(async () => Promise.resolve());
  expect([shown(), search()]).toEqual(["dev,team-a,team-b", ""]);
  router.dispose();
});

test("a choice is in the address of each list, and kept for the next visit", async () => {
  const router = open("/launch?f=state%3Dready");
  const box = screen.getByRole<HTMLSelectElement>("combobox");
  fireEvent.change(box, { target: { value: "team-a" } });
  expect(box.value).toBe("team-a");
  await expect.poll(search).toBe("?f=state%3Dready&entity=team-a");
  await expect.poll(shown).toBe("team-a");
  await act(async () => router.navigate("/agents"));
  await expect.poll(search).toBe("?entity=team-a");
  expect(shown()).toBe("team-a");
  // A page of one project is of its entity, whatever is chosen.
  await act(async () => router.navigate("/team-b/digits"));
  expect(search()).toBe("");
  expect(localStorage.getItem("lanza.entity")).toBe("team-a");
  router.dispose();
});

test("a link says what is shown, also that it is all, and changes no choice of who opens it", async () => {
  const router = open("/launch?entity=*");
  await expect.poll(shown).toBe("dev,team-a,team-b");
  await act(async () => router.navigate("/launch?entity=team-b#L3"));
  await expect.poll(shown).toBe("team-b");
  await act(async () => router.navigate("/agents"));
  await expect.poll(search).toBe("?entity=team-b");
  expect(localStorage.getItem("lanza.entity")).toBe("team-a");
  router.dispose();
});

test("an entity that is not one's own hides nothing", () => {
  expect(scopeFor(me as never, "stranger")).toEqual({ chosen: "", entities: ["dev", "team-a", "team-b"], one: "dev" });
  expect(scopeFor(me as never, "team-a")).toEqual({ chosen: "team-a", entities: ["team-a"], one: "team-a" });
});

test("what one may is the role in the entity, and nothing with a key that only reads", () => {
  const may = (who: object, entity: string) => (["member", "admin"] as const).map((role) => mayIn({ ...me, entities: [{ name: "own", kind: "user", role: "admin" }, { name: "joined", kind: "team", role: "member" }, { name: "seen", kind: "team", role: "viewer" }] as never, ...who }, entity, role));
  expect(["own", "joined", "seen", "other"].map((entity) => may({}, entity))).toEqual([[true, true], [true, false], [false, false], [false, false]]);
  // An admin of the server repairs what is of others, and is in a team what the team says.
  expect([may({ admin: true }, "seen"), may({ admin: true }, "other")]).toEqual([[false, false], [true, true]]);
  expect(may({ admin: true, scope: "read" }, "own")).toEqual([false, false]);
});
