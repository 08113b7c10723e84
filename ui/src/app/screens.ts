/** The screens of the contract's addresses: where each is, the part of the app that draws it, and what it asks first. */
import type { ComponentType } from "react";
import { homeAhead } from "../features/home/home-data";
import { runAhead } from "../features/run/run-data";
import { runsAhead } from "../features/project/runs-data";
import { queueAhead, queuesAhead } from "../features/queue/queue-data";

export interface Screen {
  path: string;
  load: () => Promise<{ Component: ComponentType }>;
  /** Begins what the screen will ask for. What fails, the screen asks again and shows. */
  ahead?: (params: Readonly<Record<string, string | undefined>>, search: URLSearchParams) => Promise<unknown>;
}

/** Screens for the signed-in. Each is a part of its own, loaded when it is first opened. */
export const screens: Screen[] = [
  { path: "/", load: () => import("../features/home/home"), ahead: homeAhead },
  { path: "/authorize", load: () => import("../features/signin/authorize") },
  { path: "/settings/:tab?", load: () => import("../features/settings/settings") },
  { path: "/projects", load: () => import("../features/project/projects") },
  { path: "/launch", load: () => import("../features/queue/queues"), ahead: queuesAhead },
  { path: "/launch/:entity/:queue/:tab?", load: () => import("../features/queue/queue"), ahead: queueAhead },
  { path: "/agents", load: () => import("../features/agents/agents") },
  { path: "/usage", load: () => import("../features/usage/usage") },
  { path: "/admin", load: () => import("../features/admin/admin") },
  { path: "/:entity", load: () => import("../features/project/projects") },
  { path: "/:entity/:project", load: () => import("../features/project/project"), ahead: runsAhead },
  { path: "/:entity/:project/jobs/:name", load: () => import("../features/job/job") },
  { path: "/:entity/:project/runs/:run/:tab?", load: () => import("../features/run/run"), ahead: runAhead },
  { path: "/:entity/:project/artifacts/:type/:name/:version?", load: () => import("../features/project/artifact") },
  { path: "/:entity/:project/sweeps/:sweep", load: () => import("../features/project/project") },
  { path: "/:entity/:project/:tab", load: () => import("../features/project/project") },
  { path: "*", load: () => import("./not-found") },
];
