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
          { path: "/projects", lazy: () => import("../features/project/projects") },
          { path: "/launch", lazy: () => import("../features/queue/queues") },
          { path: "/launch/:entity/:queue/:tab?", lazy: () => import("../features/queue/queue") },
          { path: "/agents", lazy: () => import("../features/agents/agents") },
          { path: "/usage", lazy: () => import("../features/usage/usage") },
          { path: "/admin", lazy: () => import("../features/admin/admin") },
          { path: "/:entity", lazy: () => import("../features/project/projects") },
          { path: "/:entity/:project", lazy: () => import("../features/project/project") },
          { path: "/:entity/:project/jobs/:name", lazy: () => import("../features/job/job") },
          { path: "/:entity/:project/runs/:run/:tab?", lazy: () => import("../features/run/run") },
          { path: "/:entity/:project/artifacts/:type/:name/:version?", lazy: () => import("../features/project/artifact") },
          { path: "/:entity/:project/sweeps/:sweep", lazy: () => import("../features/project/project") },
          { path: "/:entity/:project/:tab", lazy: () => import("../features/project/project") },
          { path: "*", lazy: () => import("./not-found") },
        ],
      },
    ],
  },
]);
