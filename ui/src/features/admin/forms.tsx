/** The forms of the admin page: users, teams, members, service accounts. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, got } from "../../api/client";
import { Command, Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";

function Form({ title, onClose, action, pending, error, result, onSubmit, children }: { title: string; onClose: () => void; action: string; pending: boolean; error: unknown; result: ReactNode; onSubmit: () => void; children: ReactNode }) {
  return (
    <Dialog
      title={title}
      name={title}
      onClose={onClose}
      foot={
        result ? (
          <button type="button" className="button" onClick={onClose}>
            Done
          </button>
        ) : (
          <button type="submit" form="admin-form" className="button primary" disabled={pending}>
            {action}
          </button>
        )
      }
    >
      {Boolean(error) && <Failure error={error} />}
      {result || (
        <form
          id="admin-form"
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            onSubmit();
          }}
        >
          {children}
        </form>
      )}
    </Dialog>
  );
}

function Made({ apiKey, name }: { apiKey: string; name: string }) {
  return (
    <>
      <p>
        {name} is made. This key is shown once: hand it over now.
      </p>
      <Command text={apiKey} what="Copy key" />
    </>
  );
}

export function NewUser({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [admin, setAdmin] = useState(false);
  const make = useMutation({
    mutationFn: async () => got(api.POST("/api/v1/admin/users", { body: { username, admin, ...(password ? { password } : {}) } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["users"] }),
  });
  return (
    <Form title="New user" action="Make" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <Made apiKey={make.data.api_key} name={make.data.username} />}>
      <Field label="Name">{(tie) => <input {...tie} className="input" required value={username} onChange={(event) => setUsername(event.target.value)} />}</Field>
      <Field label="Password" note="May be left out: the key signs in as well.">
        {(tie) => <input {...tie} className="input" type="password" autoComplete="new-password" value={password} onChange={(event) => setPassword(event.target.value)} />}
      </Field>
      <label className="row">
        <input type="checkbox" checked={admin} onChange={(event) => setAdmin(event.target.checked)} /> Admin of the server
      </label>
    </Form>
  );
}

export function NewTeam({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: async () => got(api.POST("/api/v1/admin/teams", { body: { name } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["me"] });
      await queries.invalidateQueries({ queryKey: ["teams"] });
    },
  });
  return (
    <Form title="New team" action="Make" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <p>Team {make.data.name} is made. Add its members next.</p>}>
      <Field label="Name">{(tie) => <input {...tie} className="input" required value={name} onChange={(event) => setName(event.target.value)} />}</Field>
    </Form>
  );
}

/** Adds somebody to a team, or changes a role. */
export function NewMember({ onClose, team: given = "" }: { onClose: () => void; team?: string }) {
  const queries = useQueryClient();
  const [team, setTeam] = useState(given);
  const [username, setUsername] = useState("");
  const [role, setRole] = useState("member");
  const make = useMutation({
    mutationFn: async () => got(api.PUT("/api/v1/admin/teams/{team}/members/{username}", { params: { path: { team, username } }, body: { role: role as never } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["me"] });
      await queries.invalidateQueries({ queryKey: ["entity"] });
      await queries.invalidateQueries({ queryKey: ["teams"] });
    },
  });
  return (
    <Form title="Add to a team" action="Add" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <p>{make.data.username} is {make.data.role} of {team}.</p>}>
      <Field label="Team">{(tie) => <input {...tie} className="input" required readOnly={given !== ""} value={team} onChange={(event) => setTeam(event.target.value)} />}</Field>
      <Field label="User name">{(tie) => <input {...tie} className="input" required value={username} onChange={(event) => setUsername(event.target.value)} />}</Field>
      <Field label="Role" note="Viewers read; members launch and make; admins also change queues and members.">
        {(tie) => (
          <select {...tie} className="select" value={role} onChange={(event) => setRole(event.target.value)}>
            <option>viewer</option>
            <option>member</option>
            <option>admin</option>
          </select>
        )}
      </Field>
    </Form>
  );
}

/** A service account of a team: a key without a person. */
export function NewService({ onClose, team: given = "" }: { onClose: () => void; team?: string }) {
  const queries = useQueryClient();
  const [team, setTeam] = useState(given);
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: async () => got(api.POST("/api/v1/admin/teams/{team}/service-accounts", { params: { path: { team } }, body: { name } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["users"] });
      await queries.invalidateQueries({ queryKey: ["entity"] });
      await queries.invalidateQueries({ queryKey: ["teams"] });
    },
  });
  return (
    <Form title="New service account" action="Make" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <Made apiKey={make.data.api_key} name={make.data.username} />}>
      <Field label="Team">{(tie) => <input {...tie} className="input" required readOnly={given !== ""} value={team} onChange={(event) => setTeam(event.target.value)} />}</Field>
      <Field label="Name">{(tie) => <input {...tie} className="input" required value={name} onChange={(event) => setName(event.target.value)} />}</Field>
    </Form>
  );
}
