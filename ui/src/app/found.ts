/** What the commands find by name beyond the open page: jobs, runs and the newest items of the chosen entities. The server
    has no search over projects, so the newest ones are asked, and the one that is open before all others. */
import { keepPreviousData, queryOptions, useQueries } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation } from "react-router";
import { api, got } from "../api/client";
import { projectRunsQuery } from "../api/queries";
import type { Item, Job, Project, Run } from "../api/types";

/** Projects that are asked. */
export const PROJECTS = 20;
/** Runs of a project that are asked for: whoever looks further types more letters. */
const RUNS = 5;
/** Items and jobs that are read at once and looked through here. */
const LIST = 100;
/** How long after the last key the server is asked, in milliseconds. */
const PAUSE = 200;
/** Letters from which runs are looked for: fewer fit nearly all. */
const LETTERS = 2;

const someJobsQuery = ({ entity, name }: Project) =>
  queryOptions({
    queryKey: ["jobs", entity, name, "some"],
    queryFn: async ({ signal }) => (await got(api.GET("/api/v1/entities/{entity}/projects/{project}/jobs", { params: { path: { entity, project: name }, query: { limit: LIST } }, signal }))).items,
    staleTime: 60_000,
  });

const newestItemsQuery = (entity: string) =>
  queryOptions({
    queryKey: ["items", "newest", entity],
    queryFn: async ({ signal }) => (await got(api.GET("/api/v1/items", { params: { query: { entity, limit: LIST } }, signal }))).items,
    staleTime: 15_000,
  });

/** What of the words is a name: `launch train` means the job. */
export function wanted(typed: string): { name: string; launch: boolean } {
  const found = /^\s*launch\s+(.*)$/i.exec(typed);
  return { name: (found?.[1] ?? typed).trim(), launch: found !== null };
}

/** The filter of runs whose name or id has the words, as they are. */
export function runsNamed(name: string): string {
  const words = { $regex: `(?i)${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}` };
  return JSON.stringify({ $or: [{ display_name: words }, { name: words }] });
}

/** The projects to ask, the one of the page first. */
export function askedProjects(projects: Project[], pathname: string): Project[] {
  const here = (project: Project) => `${pathname}/`.startsWith(`/${project.entity}/${project.name}/`);
  return [...projects.filter(here), ...projects.filter((project) => !here(project))].slice(0, PROJECTS);
}

export interface Found {
  jobs: Job[];
  runs: Run[];
  items: Item[];
  /** Not everything has answered yet. */
  looking: boolean;
  failed: boolean;
}

export function useFound(projects: Project[], entities: string[], typed: string): Found {
  const { pathname } = useLocation();
  const [asked, ask] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => ask(typed), PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  const { name, launch } = wanted(asked);
  const some = askedProjects(projects, pathname);
  const enabled = asked.trim() !== "";
  const jobs = useQueries({ queries: some.map((project) => ({ ...someJobsQuery(project), enabled })) });
  const items = useQueries({ queries: entities.map((entity) => ({ ...newestItemsQuery(entity), enabled })) });
  const withRuns = name.length >= LETTERS && !launch ? some.filter((project) => project.runs > 0) : [];
  const runs = useQueries({ queries: withRuns.map((project) => ({ ...projectRunsQuery(project.entity, project.name, runsNamed(name), RUNS), staleTime: 15_000, placeholderData: keepPreviousData })) });
  const all = [...items, ...jobs, ...runs];
  return {
    jobs: jobs.flatMap((query) => query.data ?? []),
    runs: runs.flatMap((query) => query.data ?? []),
    items: items.flatMap((query) => query.data ?? []),
    looking: asked !== typed || all.some((query) => query.isFetching),
    failed: all.some((query) => query.isError),
  };
}
