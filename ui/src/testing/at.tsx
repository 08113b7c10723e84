/** Draws a screen at an address, as the app does: for tests of components. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import { type ReactNode, Suspense } from "react";
import { createBrowserRouter, RouterProvider } from "react-router";

export function drawAt(address: string, routes: Record<string, ReactNode>) {
  window.history.replaceState(null, "", address);
  const router = createBrowserRouter(Object.entries(routes).map(([path, element]) => ({ path, element: <Suspense>{element}</Suspense> })));
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false, refetchInterval: false } } });
  return {
    queries,
    ...render(
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>,
    ),
  };
}
