/** The router: sign-in, and the screens behind the session's boundary. */
import type { ReactNode } from "react";
import { createBrowserRouter } from "react-router";
import { Broken, BrokenScreen } from "./broken";
import { type Screen, screens } from "./screens";
import { SessionBoundary } from "./session";

/** Screens in a frame, which stays where it is when one of them fails. */
export const behind = (frame: ReactNode, list: Screen[]) => ({
  element: frame,
  children: [{ errorElement: <BrokenScreen />, children: list.map(({ path, load }) => ({ path, lazy: load })) }],
});

export const router = createBrowserRouter([
  {
    errorElement: <Broken />,
    hydrateFallbackElement: <></>,
    children: [{ path: "/login", lazy: () => import("../features/signin/login") }, behind(<SessionBoundary />, screens)],
  },
]);
