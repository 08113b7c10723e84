/** What the source of a job version says: its code, its Dockerfile, its repository. Pure. */
import type { JobVersion } from "../../api/types";

interface SourceDocument {
  artifact?: string;
  git?: { remote?: string; commit?: string };
  image?: string;
  dockerfile?: string;
  build_context?: string;
}

const documentOf = (version: Pick<JobVersion, "source">) => (version.source ?? {}) as SourceDocument;

/** The id of the artifact that has the code, when it has one. */
export const codeOf = (version: Pick<JobVersion, "source">): string | undefined => /_id\/([0-9a-f]+)/.exec(documentOf(version).artifact ?? "")?.[1];

/** Where the Dockerfile is in the code, when the job is built with one. It is named from the build context. */
export function dockerfileOf(version: Pick<JobVersion, "source">): string | null {
  const { dockerfile, build_context: context } = documentOf(version);
  if (!dockerfile) return null;
  const words = `${context ?? ""}/${dockerfile}`.split("/").filter((word) => word !== "" && word !== ".");
  return words.join("/");
}

export interface Repository {
  remote: string;
  commit: string;
  /** Its page, when the remote has one. */
  page: string | null;
  /** The page of its files at the commit, where the host is known to have such. */
  files: string | null;
}

/** How hosts of repositories call the files of a commit. */
const trees: [RegExp, string][] = [
  [/github/, "tree/"],
  [/gitlab/, "-/tree/"],
  [/bitbucket/, "src/"],
  [/gitea|forgejo|codeberg/, "src/commit/"],
];

/** The repository of a git job. Only web addresses become links: a remote is text of a user. */
export function repositoryOf(version: Pick<JobVersion, "source">): Repository | null {
  const { remote, commit } = documentOf(version).git ?? {};
  if (!remote) return null;
  const page = pageOf(remote);
  const tree = page && trees.find(([host]) => host.test(new URL(page).hostname))?.[1];
  return { remote: withoutLogin(remote), commit: commit ?? "", page, files: page && tree && commit ? `${page}/${tree}${encodeURIComponent(commit)}` : null };
}

/** A remote without what somebody wrote before its host. */
const withoutLogin = (remote: string) => remote.replace(/^([a-z+]+:\/\/)[^/@]*@/i, "$1");

function pageOf(remote: string): string | null {
  const scp = /^(?:[\w.-]+@)?([\w.-]+\.[a-z]+):(?!\/)(.+)$/i.exec(remote);
  const found = /^(?:https?|ssh|git):\/\/(?:[^/@]*@)?([\w.-]+)(:\d+)?\/(.+)$/i.exec(remote);
  const [host, port, path] = scp ? [scp[1], "", scp[2]] : found ? [found[1], /^https?:/i.test(remote) ? (found[2] ?? "") : "", found[3]] : [];
  if (!host || !path) return null;
  const scheme = /^http:/i.test(remote) ? "http" : "https";
  return `${scheme}://${host}${port}/${path.replace(/\.git\/?$/, "").replace(/\/$/, "")}`;
}
