import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, got } from "../../api/client";
import type { User } from "../../api/types";
import { useMe } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Ago, Command, Confirm, Dialog, Field } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Empty, Failure, View } from "../../components/view";

const usersQuery = queryOptions({ queryKey: ["users"], queryFn: async () => (await got(api.GET("/api/v1/admin/users"))).items });

/** Users and teams of the server. */
export function Component() {
  const me = useMe();
  const queries = useQueryClient();
  const users = useQuery({ ...usersQuery, enabled: me.admin });
  const [making, setMaking] = useState<"user" | "team" | "member" | "service" | null>(null);
  const [removing, setRemoving] = useState<User | null>(null);
  const remove = useMutation({
    mutationFn: async (username: string) => api.DELETE("/api/v1/admin/users/{username}", { params: { path: { username } } }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["users"] }),
  });
  if (!me.admin) {
    return (
      <>
        <PageHead title="Admin" />
        <div className="page-body">
          <Empty>This page is for admins of the server.</Empty>
        </div>
      </>
    );
  }
  return (
    <>
      <PageHead
        title="Admin"
        action={
          <>
            <button type="button" className="button" onClick={() => setMaking("team")}>
              New team
            </button>
            <button type="button" className="button" onClick={() => setMaking("member")}>
              Add to a team
            </button>
            <button type="button" className="button" onClick={() => setMaking("service")}>
              New service account
            </button>
            <button type="button" className="button primary" onClick={() => setMaking("user")}>
              New user
            </button>
          </>
        }
      />
      <div className="page-body">
        {remove.isError && <Failure error={remove.error} />}
        <View query={users} height={200} empty={(list) => (list.length === 0 ? <Empty>There is no user yet.</Empty> : null)}>
          {(list) => (
            <Rows<User>
              name="Users"
              rows={list}
              id={(user) => user.username}
              columns={[
                { name: "Name", cell: (user) => user.username },
                { name: "Kind", cell: (user) => (user.service ? "service account" : user.admin ? "admin" : "person") },
                { name: "Made", cell: (user) => <Ago time={user.created_at} /> },
                {
                  name: "Actions",
                  hidden: true,
                  num: true,
                  cell: (user) =>
                    user.username !== me.username && (
                      <button type="button" className="button danger" onClick={() => setRemoving(user)}>
                        Delete…
                      </button>
                    ),
                },
              ]}
            />
          )}
        </View>
      </div>
      {removing && (
        <Confirm title={`Delete ${removing.username}?`} action="Delete user" typed={removing.username} onYes={() => remove.mutate(removing.username)} onClose={() => setRemoving(null)}>
          <p>Keys, the personal entity and its data go; runs in teams keep the author&apos;s name. This cannot be undone.</p>
        </Confirm>
      )}
      {making === "user" && <NewUser onClose={() => setMaking(null)} />}
      {making === "team" && <NewTeam onClose={() => setMaking(null)} />}
      {making === "member" && <NewMember onClose={() => setMaking(null)} />}
      {making === "service" && <NewService onClose={() => setMaking(null)} />}
    </>
  );
}

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

function NewUser({ onClose }: { onClose: () => void }) {
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

function NewTeam({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: async () => got(api.POST("/api/v1/admin/teams", { body: { name } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["me"] }),
  });
  return (
    <Form title="New team" action="Make" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <p>Team {make.data.name} is made. Add its members next.</p>}>
      <Field label="Name">{(tie) => <input {...tie} className="input" required value={name} onChange={(event) => setName(event.target.value)} />}</Field>
    </Form>
  );
}

function NewMember({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [team, setTeam] = useState("");
  const [username, setUsername] = useState("");
  const [role, setRole] = useState("member");
  const make = useMutation({
    mutationFn: async () => got(api.PUT("/api/v1/admin/teams/{team}/members/{username}", { params: { path: { team, username } }, body: { role: role as never } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["me"] });
      await queries.invalidateQueries({ queryKey: ["entity"] });
    },
  });
  return (
    <Form title="Add to a team" action="Add" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <p>{make.data.username} is {make.data.role} of {team}.</p>}>
      <Field label="Team">{(tie) => <input {...tie} className="input" required value={team} onChange={(event) => setTeam(event.target.value)} />}</Field>
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

function NewService({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [team, setTeam] = useState("");
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: async () => got(api.POST("/api/v1/admin/teams/{team}/service-accounts", { params: { path: { team } }, body: { name } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["users"] }),
  });
  return (
    <Form title="New service account" action="Make" onClose={onClose} pending={make.isPending} error={make.error} onSubmit={() => make.mutate()} result={make.data && <Made apiKey={make.data.api_key} name={make.data.username} />}>
      <Field label="Team">{(tie) => <input {...tie} className="input" required value={team} onChange={(event) => setTeam(event.target.value)} />}</Field>
      <Field label="Name">{(tie) => <input {...tie} className="input" required value={name} onChange={(event) => setName(event.target.value)} />}</Field>
    </Form>
  );
}
