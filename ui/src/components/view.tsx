/** The states that every view has: loading, error, empty, too much. */
import { type ReactNode, useEffect, useState } from "react";
import { problemOf } from "../api/client";
import { isCut, MOST } from "../api/pages";

/** A grey shape of the final height. It shows after a moment only, so that quick answers do not flicker. */
export function Loading({ height = 160, what = "Loading" }: { height?: number; what?: string }) {
  const [shown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 120);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="loading" style={{ minHeight: height }} role="status" aria-live="polite">
      {shown && <div className="skeleton" style={{ height }} />}
      <span className="hidden-text">{what}…</span>
    </div>
  );
}

/** A refusal: what happened, its code with a link to its page, what to do, and a way to try again. Who is signed out signs in
    beside the page, which keeps what it holds. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const problem = problemOf(error);
  const signedOut = problem.status === 401;
  return (
    <div className="banner" data-tone="red" role="alert">
      <div>
        <strong>{problem.message}</strong>
        {signedOut ? (
          <p>
            <a href="/login" target="_blank" rel="noreferrer">
              Sign in in another tab
            </a>
            , then try again here. Nothing on this page is lost.
          </p>
        ) : (
          problem.hint && <p>{problem.hint}</p>
        )}
        <p className="small quiet">
          {problem.help ? <a href={`/errors/${problem.help}`}>{problem.help}</a> : null} <code>{problem.code}</code>
          {problem.requestId && (
            <>
              {" "}
              · request <code>{problem.requestId}</code>
            </>
          )}
        </p>
      </div>
      {retry && (
        <div>
          <button className="button" type="button" onClick={retry}>
            Retry
          </button>
        </div>
      )}
    </div>
  );
}

/** Nothing is here yet, and what makes something be here. */
export function Empty({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <div>{children}</div>
      {action}
    </div>
  );
}

/** A list that is longer than what was read says so. */
export function Cut({ list, what }: { list: readonly unknown[]; what: string }) {
  if (!isCut(list)) return null;
  return (
    <p className="quiet" role="note">
      Only the first {MOST.toLocaleString("en-US")} {what} are shown; the API lists them all.
    </p>
  );
}

/** There is more than is shown: says how much is shown and offers the next page. `which` tells several of them apart. */
export function More({ shown, of, what, which, more, loading }: { shown: number; of?: number; what: string; which?: string; more: (() => void) | null; loading?: boolean }) {
  if (!more) return null;
  return (
    <div className="row">
      <span className="quiet small">
        The first {shown.toLocaleString("en-US")} {of === undefined ? "" : `of ${of.toLocaleString("en-US")} `}
        {what} are shown.
      </span>
      <button className="button" type="button" onClick={more} disabled={loading}>
        {loading ? "Loading…" : which ? `Show more ${which}` : "Show more"}
      </button>
    </div>
  );
}

/** What a view shows of a query, or of several together. */
interface Shown<T> {
  data: T | undefined;
  isError: boolean;
  error: unknown;
  refetch: () => unknown;
}

/** Shows a query: its data when there is any, also while it is read again; an error above stale data. */
export function View<T>({ query, children, height, empty }: { query: Shown<T>; children: (data: T) => ReactNode; height?: number; empty?: (data: T) => ReactNode }) {
  if (query.data !== undefined) {
    const nothing = empty?.(query.data);
    return (
      <>
        {query.isError && <Failure error={query.error} retry={() => void query.refetch()} />}
        {nothing ?? children(query.data)}
      </>
    );
  }
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return <Loading {...(height ? { height } : {})} />;
}
