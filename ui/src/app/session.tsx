/** The session's boundary: only the signed-in come in, and who is signed out on the way goes to the sign-in page. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Navigate } from "react-router";
import { problemOf } from "../api/client";
import { meQuery } from "../api/queries";
import { tellSession } from "../api/session";
import { Failure, Loading } from "../components/view";
import { Shell } from "./shell";
import { isUnsaved, watchFields } from "./unsaved";

/** How often one asks who is signed in while nobody is, or the server does not answer, in milliseconds. */
const AGAIN = 3_000;

/** Lets only the signed-in in; others go to the sign-in page and come back. A page on which something is typed stays as it is
    until there is a session again. */
export function SessionBoundary() {
  const queries = useQueryClient();
  const me = useQuery({ ...meQuery, refetchInterval: (query) => (query.state.status === "error" ? AGAIN : false) });
  useEffect(watchFields, []);
  const signedOut = me.isError && problemOf(me.error).status === 401;
  // Each refusal is an error of its own: a page whose drawer was closed meanwhile goes.
  const stays = signedOut && me.data !== undefined && isUnsaved();
  useEffect(() => {
    tellSession(stays);
    return () => tellSession(false);
  }, [stays]);
  const name = me.data?.username;
  const known = useRef(name);
  const wasOut = useRef(false);
  useEffect(() => {
    const isBack = wasOut.current && !signedOut && name !== undefined;
    // What another one read is not for the eyes of who signed in instead.
    if (isBack && known.current !== name) void queries.resetQueries({ predicate: (query) => query.queryKey[0] !== "me" });
    else if (isBack) void queries.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "me" });
    wasOut.current = signedOut;
    known.current = name;
  }, [signedOut, name, queries]);

  if (signedOut && !stays) return <ToSignIn />;
  if (me.data) return <Shell />;
  if (me.isError) {
    return (
      <div className="plain">
        <main className="wide">
          <Failure error={me.error} retry={() => void me.refetch()} />
        </main>
      </div>
    );
  }
  return <Loading height={400} />;
}

/** The browser's own address is where one wants to be: the router's knows nothing of the line of a log. */
function ToSignIn() {
  const [next] = useState(() => window.location.pathname + window.location.search + window.location.hash);
  return <Navigate to={`/login?next=${encodeURIComponent(next)}`} replace />;
}
