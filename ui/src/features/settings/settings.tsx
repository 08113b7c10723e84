import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useParams } from "react-router";
import { api, got } from "../../api/client";
import { keysQuery } from "../../api/queries";
import type { Key, KeyScope } from "../../api/types";
import { useMe } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { setTheme, type Theme, useTheme } from "../../app/theme";
import { Writable } from "../../app/writable";
import { Ago, Command, Confirm, Dialog, Field, Tabs } from "../../components/parts";
import { Empty, Failure, View } from "../../components/view";
import { Secrets } from "./secrets";
import { Teams } from "./teams";

/** Settings of the caller: profile, keys, teams, appearance. */
export function Component() {
  const { tab = "profile" } = useParams();
  const navigate = useNavigate();
  return (
    <>
      <PageHead title="Settings" />
      <Tabs
        name="Settings"
        open={tab}
        onOpen={(key) => void navigate(`/settings/${key}`)}
        tabs={[
          { key: "profile", name: "Profile", body: () => <Profile /> },
          { key: "keys", name: "API keys", body: () => <Writable><Keys /></Writable> },
          { key: "teams", name: "Teams", body: () => <Writable><Teams /></Writable> },
          { key: "secrets", name: "Secrets", body: () => <Writable><Secrets /></Writable> },
          { key: "appearance", name: "Appearance", body: () => <Appearance /> },
        ]}
      />
    </>
  );
}

function Profile() {
  const me = useMe();
  return (
    <>
      <dl className="facts" style={{ maxWidth: 640 }}>
        <dt>User name</dt>
        <dd>{me.username}</dd>
        <dt>Default entity</dt>
        <dd>{me.entity}</dd>
        <dt>Server admin</dt>
        <dd>{me.admin ? "yes" : "no"}</dd>
        <dt>Member of</dt>
        <dd>{me.entities.map((entity) => `${entity.name} (${entity.role})`).join(", ")}</dd>
      </dl>
      <h2>Use this server</h2>
      <Command text={`export WANDB_BASE_URL=${location.origin}\nexport WANDB_API_KEY=…`} />
    </>
  );
}

const lives: [string, number | null][] = [
  ["never", null],
  ["in 7 days", 7 * 86_400],
  ["in 30 days", 30 * 86_400],
  ["in 90 days", 90 * 86_400],
  ["in a year", 365 * 86_400],
];

/** What a key may do, as the list says it and as the form offers it. */
const scopes: Record<KeyScope, { word: string; choice: string; note: string }> = {
  full: { word: "all that you may", choice: "All that I may", note: "Launch, track runs, serve as an agent, change settings." },
  read: { word: "read only", choice: "Read only", note: "See all that you see, and change nothing: no run, no launch, no agent, no other key." },
};

function Keys() {
  const me = useMe();
  const queries = useQueryClient();
  const keys = useQuery(keysQuery);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const revoke = useMutation({
    mutationFn: async (id: string) => api.DELETE("/api/v1/me/keys/{id}", { params: { path: { id } } }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["keys"] }),
  });
  return (
    <>
      <div className="row">
        <p className="quiet grow">
          A key lets a program do what you may, or only read it, until it expires or you revoke it. Its text is shown once, when it is made.
        </p>
        <button type="button" className="button primary" onClick={() => setMaking(true)}>
          New key
        </button>
      </div>
      {me.scope === "read" && (
        <div className="banner" data-tone="amber">
          You signed in with a key that only reads. To make or revoke keys, sign in with a password or another key.
        </div>
      )}
      {revoke.isError && <Failure error={revoke.error} />}
      <View query={keys} empty={(list) => (list.length === 0 ? <Empty>You have no key.</Empty> : null)}>
        {(list) => (
          <div className="table-box">
            <table className="table" aria-label="API keys">
              <thead>
                <tr>
                  <th>Description</th>
                  <th>Begins with</th>
                  <th>May</th>
                  <th>Made</th>
                  <th>Expires</th>
                  <th>
                    <span className="hidden-text">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {list.map((key) => (
                  <tr key={key.id}>
                    <td>{key.description || <span className="quiet">no description</span>}</td>
                    <td>
                      <code>{key.prefix}…</code>
                    </td>
                    <td title={scopes[key.scope].note}>{scopes[key.scope].word}</td>
                    <td>
                      <Ago time={key.created_at} />
                    </td>
                    <td>{key.expires_at ? <Ago time={key.expires_at} /> : <span className="quiet">never</span>}</td>
                    <td className="num">
                      <button type="button" className="button danger" onClick={() => setRevoking(key)}>
                        Revoke
                      </button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </View>
      {revoking && (
        <Confirm title="Revoke this key?" action="Revoke" onYes={() => revoke.mutate(revoking.id)} onClose={() => setRevoking(null)}>
          <p>
            Programs that use <code>{revoking.prefix}…</code> ({revoking.description || "no description"}) are refused from now on.
          </p>
        </Confirm>
      )}
      {making && <NewKey onClose={() => setMaking(false)} />}
    </>
  );
}

function NewKey({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [description, setDescription] = useState("");
  const [life, setLife] = useState("");
  const [scope, setScope] = useState<KeyScope>("full");
  const make = useMutation({
    mutationFn: async () =>
      (await got(api.POST("/api/v1/me/keys", { body: { description, scope, expires_in_seconds: life === "" ? null : Number(life) } }))).api_key,
    onSuccess: () => queries.invalidateQueries({ queryKey: ["keys"] }),
  });
  return (
    <Dialog
      title="New key"
      name="New key"
      onClose={onClose}
      foot={
        make.data ? (
          <button type="button" className="button" onClick={onClose}>
            Done
          </button>
        ) : (
          <button type="submit" form="new-key" className="button primary" disabled={make.isPending}>
            Make
          </button>
        )
      }
    >
      {make.isError && <Failure error={make.error} />}
      {make.data ? (
        <>
          <p>Copy it now: it is not shown again.</p>
          <Command text={make.data} what="Copy key" />
        </>
      ) : (
        <form id="new-key" className="stack" onSubmit={(event) => { event.preventDefault(); make.mutate(); }}>
          <Field label="Description" note="What it is for: you see it in the list.">
            {(tie) => <input {...tie} className="input" value={description} onChange={(e) => setDescription(e.target.value)} />}
          </Field>
          <Field label="May" note={scopes[scope].note}>
            {(tie) => (
              <select {...tie} className="select" value={scope} onChange={(e) => setScope(e.target.value as KeyScope)}>
                {(Object.keys(scopes) as KeyScope[]).map((word) => (
                  <option key={word} value={word}>
                    {scopes[word].choice}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label="Expires">
            {(tie) => (
              <select {...tie} className="select" value={life} onChange={(e) => setLife(e.target.value)}>
                {lives.map(([word, seconds]) => (
                  <option key={word} value={seconds ?? ""}>
                    {word}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </form>
      )}
    </Dialog>
  );
}

function Appearance() {
  const theme = useTheme();
  return (
    <fieldset style={{ border: 0, padding: 0, margin: 0 }} className="stack">
      <legend className="hidden-text">Theme of the app</legend>
      {(["light", "dark", "system"] as Theme[]).map((choice) => (
        <label key={choice} className="row">
          <input type="radio" name="theme" checked={theme === choice} onChange={() => setTheme(choice)} />
          {choice === "system" ? "As the system" : choice[0]!.toUpperCase() + choice.slice(1)}
        </label>
      ))}
    </fieldset>
  );
}
