/** Draws a screen at an address, as the app does: for tests of components. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import { type ReactNode, Suspense } from "react";
import { createBrowserRouter, RouterProvider } from "react-router";

const ownCache = () => new QueryClient({ defaultOptions: { queries: { retry: false, refetchInterval: false } } });

/** `frame` is drawn around the screens, with an outlet for them. */
export function drawAt(address: string, routes: Record<string, ReactNode>, { queries = ownCache(), frame }: { queries?: QueryClient; frame?: ReactNode } = {}) {
  window.history.replaceState(null, "", address);
  const screens = Object.entries(routes).map(([path, element]) => ({ path, element: <Suspense>{element}</Suspense> }));
  const within = (path: string) => frame && path !== "/login";
  const router = createBrowserRouter([...screens.filter(({ path }) => !within(path)), { element: frame, children: screens.filter(({ path }) => within(path)) }]);
  return {
    queries,
    ...render(
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>,
    ),
  };
}
