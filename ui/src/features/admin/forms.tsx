/** The forms of the admin page: users, teams, members, service accounts. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { api, fieldError, got, missingError, takenError } from "../../api/client";
import { useMe } from "../../app/scope";
import { Command, Dialog, Field } from "../../components/parts";
import { Failure } from "../../components/view";
import { teamsQuery, usersQuery } from "./lists";

interface Making {
  mutate: () => void;
  reset: () => void;
  isPending: boolean;
  error: unknown;
}

/** A dialog with a form, and with what came of it. A refusal stands at the field that it is about, and the field has the
    keyboard; `atField` says that a field shows it. What was typed stays. */
function Form({ title, onClose, action, make, atField, result, children }: { title: string; onClose: () => void; action: string; make: Making; atField: boolean; result: ReactNode; children: ReactNode }) {
  const { error } = make;
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  }, [error]);
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
          <button type="submit" form="admin-form" className="button primary" disabled={make.isPending}>
            {action}
          </button>
        )
      }
    >
      {Boolean(error) && !atField && <Failure error={error} />}
      {result || (
        <form
          ref={form}
          id="admin-form"
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
          // What was refused was said about what stood there before.
          onInput={() => error && make.reset()}
        >
          {children}
        </form>
      )}
    </Dialog>
  );
}

/** A name that is typed, with those that there are. */
function NameField({ label, error, value, set, fixed, names }: { label: string; error: string | null; value: string; set: (name: string) => void; fixed?: boolean; names: string[] }) {
  return (
    <Field label={label} error={error}>
      {(tie) => (
        <>
          <input {...tie} className="input" required readOnly={fixed} list={`${tie.id}-names`} value={value} onChange={(event) => set(event.target.value)} />
          <datalist id={`${tie.id}-names`}>
            {names.map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </>
      )}
    </Field>
  );
}

/** The names of all teams and people, for whom may list them. */
function useNames() {
  const { admin } = useMe();
  const users = useQuery({ ...usersQuery, enabled: admin });
  const teams = useQuery({ ...teamsQuery, enabled: admin });
  return { people: (users.data ?? []).filter((user) => !user.service).map((user) => user.username), teams: (teams.data ?? []).map((team) => team.name) };
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
  const nameError = fieldError(make.error, "username") ?? takenError(make.error);
  const passwordError = fieldError(make.error, "password");
  return (
    <Form title="New user" action="Make" onClose={onClose} make={make} atField={nameError !== null || passwordError !== null} result={make.data && <Made apiKey={make.data.api_key} name={make.data.username} />}>
      <Field label="Name" error={nameError}>{(tie) => <input {...tie} className="input" required value={username} onChange={(event) => setUsername(event.target.value)} />}</Field>
      <Field label="Password" error={passwordError} note="May be left out: the key signs in as well.">
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
  const nameError = fieldError(make.error, "name") ?? takenError(make.error);
  return (
    <Form title="New team" action="Make" onClose={onClose} make={make} atField={nameError !== null} result={make.data && <p>Team {make.data.name} is made. Add its members next.</p>}>
      <Field label="Name" error={nameError}>{(tie) => <input {...tie} className="input" required value={name} onChange={(event) => setName(event.target.value)} />}</Field>
    </Form>
  );
}

/** Adds somebody to a team, or changes a role. */
export function NewMember({ onClose, team: given = "" }: { onClose: () => void; team?: string }) {
  const queries = useQueryClient();
  const known = useNames();
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
  const teamError = missingError(make.error, "team");
  const userError = missingError(make.error, "user");
  return (
    <Form title="Add to a team" action="Add" onClose={onClose} make={make} atField={teamError !== null || userError !== null} result={make.data && <p>{make.data.username} is {make.data.role} of {team}.</p>}>
      <NameField label="Team" error={teamError} value={team} set={setTeam} fixed={given !== ""} names={known.teams} />
      <NameField label="User name" error={userError} value={username} set={setUsername} names={known.people} />
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
  const known = useNames();
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
  const teamError = missingError(make.error, "team");
  const nameError = fieldError(make.error, "name") ?? takenError(make.error);
  return (
    <Form title="New service account" action="Make" onClose={onClose} make={make} atField={teamError !== null || nameError !== null} result={make.data && <Made apiKey={make.data.api_key} name={make.data.username} />}>
      <NameField label="Team" error={teamError} value={team} set={setTeam} fixed={given !== ""} names={known.teams} />
      <Field label="Name" error={nameError}>{(tie) => <input {...tie} className="input" required value={name} onChange={(event) => setName(event.target.value)} />}</Field>
    </Form>
  );
}
