import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { useNavigate } from "react-router";
import { api } from "../../api/client";
import { useAddress } from "../../app/address";
import { Field } from "../../components/parts";
import { Failure } from "../../components/view";

/** Only an address of this site, with its search and the line behind `#`. It is read as a browser reads it: `//host`, `/\host`
    and either with a tab or a line feed in it lead elsewhere. */
export function localPath(next: string | null): string {
  if (!next?.startsWith("/") || !URL.canParse(next, location.origin)) return "/";
  const { origin, pathname, search, hash } = new URL(next, location.origin);
  return origin === location.origin && !pathname.startsWith("//") ? pathname + search + hash : "/";
}

/** Sign in with a key or with a password. */
export function Component() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [search] = useAddress();
  const [key, setKey] = useState("");
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  useEffect(() => {
    document.title = "Sign in · Lanza";
    // Who signs in may be another one: nothing is left of what was read before.
    queries.clear();
  }, [queries]);

  const signIn = useMutation({
    mutationFn: async () =>
      api.POST("/api/v1/session", { body: key.trim() ? { api_key: key.trim() } : { username: username.trim(), password } }),
    onSuccess: async () => navigate(localPath(search.get("next")), { replace: true }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };

  return (
    <div className="plain">
      <main>
        <div className="row">
          <img src="/favicon.svg" alt="" width="28" height="28" />
          <h1>Sign in to Lanza</h1>
        </div>
        {signIn.isError && <Failure error={signIn.error} />}
        <form className="stack" onSubmit={submit}>
          <Field label="API key" note="The key that wandb login keeps in ~/.netrc works here too.">
            {(tie) => <input {...tie} className="input" type="password" autoComplete="off" value={key} onChange={(e) => setKey(e.target.value)} />}
          </Field>
          <div className="quiet" style={{ textAlign: "center" }}>
            or
          </div>
          <Field label="Username">
            {(tie) => <input {...tie} className="input" autoComplete="username" value={username} onChange={(e) => setUsername(e.target.value)} />}
          </Field>
          <Field label="Password">
            {(tie) => <input {...tie} className="input" type="password" autoComplete="current-password" value={password} onChange={(e) => setPassword(e.target.value)} />}
          </Field>
          <button type="submit" className="button primary" disabled={signIn.isPending || !(key.trim() || (username.trim() && password))}>
            Sign in
          </button>
        </form>
      </main>
    </div>
  );
}
