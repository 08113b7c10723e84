/** The router: sign-in, and the screens behind the session's boundary. */
import { createBrowserRouter } from "react-router";
import { screens } from "./screens";
import { SessionBoundary } from "./session";
import { Broken } from "./shell";

export const router = createBrowserRouter([
  {
    errorElement: <Broken />,
    hydrateFallbackElement: <></>,
    children: [
      { path: "/login", lazy: () => import("../features/signin/login") },
      { element: <SessionBoundary />, children: screens.map(({ path, load }) => ({ path, lazy: load })) },
    ],
  },
]);
