/** The routes of the contract. Each screen is a part of its own, loaded when it is first opened. */
import { createBrowserRouter } from "react-router";
import { Broken, SessionBoundary } from "./shell";

export const router = createBrowserRouter([
  {
    errorElement: <Broken />,
    hydrateFallbackElement: <></>,
    children: [
      { path: "/login", lazy: () => import("../features/signin/login") },
      {
        element: <SessionBoundary />,
        children: [
          { path: "/", lazy: () => import("../features/home/home") },
          { path: "/authorize", lazy: () => import("../features/signin/authorize") },
          { path: "/settings/:tab?", lazy: () => import("../features/settings/settings") },
          { path: "/launch", lazy: () => import("../features/queue/queues") },
          { path: "/launch/:entity/:queue/:tab?", lazy: () => import("../features/queue/queue") },
          { path: "/agents", lazy: () => import("../features/agents/agents") },
          { path: "*", lazy: () => import("./not-found") },
        ],
      },
    ],
  },
]);
