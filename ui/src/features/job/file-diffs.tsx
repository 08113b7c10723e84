/** The files that differ between two versions of a job's code, line by line. */
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { artifactFilesQuery, jobVersionQuery } from "../../api/queries";
import type { ArtifactFile, FileChange } from "../../api/types";
import { Failure, Loading } from "../../components/view";
import { bytes } from "../../format/text";
import { fileTextQuery } from "../files/artifact-files";
import { isText, kindOf } from "../files/file-kind";
import { linesOf } from "../files/source-text";
import { firstLines, lineDiff } from "./line-diff";
import { codeOf } from "./source";
import type { JobPath } from "./versions";

/** Files that are compared before one asks for them. */
const OPEN = 6;
/** Bytes of a file that is compared here. */
const COMPARED = 512 << 10;
/** Lines of a file's difference that are drawn. */
const DRAWN = 2_000;

/** The code of a version, file by file. */
function useCode(path: JobPath, version: string) {
  const one = useQuery(jobVersionQuery(path.entity, path.project, path.name, version));
  const code = one.data ? codeOf(one.data) : undefined;
  const files = useQuery(artifactFilesQuery(code));
  return { files: files.data, none: one.isSuccess && code === undefined, error: one.error ?? files.error };
}

export function FileDiffs({ path, from, to, changes }: { path: JobPath; from: string; to: string; changes: FileChange[] }) {
  const [before, after] = [useCode(path, from), useCode(path, to)];
  if (changes.length === 0) return null;
  const error = before.error ?? after.error;
  const find = (files: ArtifactFile[] | undefined, name: string) => files?.find((file) => file.path === name) ?? null;
  return (
    <section className="stack" style={{ gap: 8 }} aria-label="Files that differ">
      <h3>Files</h3>
      {error && <Failure error={error} />}
      {changes.map((change, index) => (
        <FileDiff key={`${from} ${to} ${change.path}`} change={change} open={index < OPEN} before={find(before.files, change.path)} after={find(after.files, change.path)} known={Boolean((before.files ?? before.none) && (after.files ?? after.none))} />
      ))}
    </section>
  );
}

interface Props {
  change: FileChange;
  open: boolean;
  before: ArtifactFile | null;
  after: ArtifactFile | null;
  /** The lists of files were read. */
  known: boolean;
}

function FileDiff({ change, open, before, after, known }: Props) {
  const [shown, setShown] = useState(open);
  const size = Math.max(before?.size_bytes ?? 0, after?.size_bytes ?? 0);
  return (
    <details className="file-diff" open={shown} onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>
        <span className="quiet">{change.change}</span> <code>{change.path}</code>
      </summary>
      {shown && (!known ? <Loading height={60} /> : kindOf(change.path) !== "text" ? <p className="quiet small">It is no text.</p> : size > COMPARED ? <p className="quiet small">It is too large to be compared here ({bytes(size)}).</p> : <Lines path={change.path} before={before} after={after} />)}
    </details>
  );
}

/** A side that has no such file is compared as an empty one. */
function useText(file: ArtifactFile | null) {
  const text = useQuery({ ...fileTextQuery(file ?? { digest: "", path: "", url: "/" }), enabled: file !== null && !file.reference });
  return { body: file === null || file.reference ? "" : text.data, error: text.error, retry: () => void text.refetch() };
}

function Lines({ path, before, after }: { path: string; before: ArtifactFile | null; after: ArtifactFile | null }) {
  const [old, now] = [useText(before), useText(after)];
  const diff = useMemo(() => (old.body === undefined || now.body === undefined ? null : isText(old.body) && isText(now.body) ? lineDiff(linesOf(old.body), linesOf(now.body)) : "binary"), [old.body, now.body]);
  const failed = old.error ? old : now.error ? now : null;
  if (failed) return <Failure error={failed.error} retry={failed.retry} />;
  if (diff === null) return <Loading height={60} />;
  if (diff === "binary") return <p className="quiet small">It is no text.</p>;
  if (diff.hunks.length === 0) return <p className="quiet small">Its lines are the same; what ends them is not.</p>;
  return (
    <>
      <p className="quiet small num" style={{ textAlign: "left" }}>
        {diff.added} added, {diff.removed} removed
      </p>
      {/* A difference scrolls, so the keyboard must reach it. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="diff lines" role="region" aria-label={`Lines of ${path} that differ`} tabIndex={0}>
        {firstLines(diff.hunks, DRAWN).map((hunk) => (
          <div key={`${hunk.before} ${hunk.after}`} className="pair">
            <div className="admin">from line {hunk.after.toLocaleString("en-US")}</div>
            {hunk.lines.map((line, index) => (
              <div key={index} className={line.sign === "+" ? "add" : line.sign === "-" ? "remove" : undefined}>
                {line.sign}
                {line.text}
              </div>
            ))}
          </div>
        ))}
      </div>
      {diff.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0) > DRAWN && <p className="quiet small">The first {DRAWN.toLocaleString("en-US")} lines of the difference are shown.</p>}
    </>
  );
}
