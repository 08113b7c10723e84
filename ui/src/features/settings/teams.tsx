import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";
import { api } from "../../api/client";
import { entityQuery } from "../../api/queries";
import type { Member } from "../../api/types";
import { useMe } from "../../app/scope";
import { say } from "../../components/notice";
import { Confirm } from "../../components/parts";
import { Rows } from "../../components/rows";
import { Empty, Failure, View } from "../../components/view";
import { NewMember, NewService } from "../admin/forms";

const roles = ["viewer", "member", "admin"] as const;

/** The teams of the caller with their members. Admins of a team, and of the server, change roles and add people and service accounts. */
export function Teams() {
  const me = useMe();
  const teams = me.entities.filter((entity) => entity.kind === "team");
  if (teams.length === 0)
    return (
      <Empty>
        You are in no team. {me.admin ? <Link to="/admin">Make one on the admin page.</Link> : "An admin of the server makes one and adds you."}
      </Empty>
    );
  return teams.map((team) => <Team key={team.name} name={team.name} role={team.role} />);
}

/** A team: its members with their roles, and what its admins do with them. */
export function Team({ name, role }: { name: string; role: string | null }) {
  const me = useMe();
  const admin = me.admin || role === "admin";
  const queries = useQueryClient();
  const team = useQuery(entityQuery(name));
  const [making, setMaking] = useState<"member" | "service" | null>(null);
  const put = async (username: string, next: string) => api.PUT("/api/v1/admin/teams/{team}/members/{username}", { params: { path: { team: name, username } }, body: { role: next as never } });
  const refresh = async () => {
    await queries.invalidateQueries({ queryKey: ["entity", name] });
    await queries.invalidateQueries({ queryKey: ["teams"] });
  };
  const [removing, setRemoving] = useState<Member | null>(null);
  const remove = useMutation({
    mutationFn: async (member: Member) => {
      await api.DELETE("/api/v1/admin/teams/{team}/members/{username}", { params: { path: { team: name, username: member.username } } });
      say(`${member.username} is no member of ${name} any more.`);
    },
    onSuccess: async (_, member) => {
      await refresh();
      // Who leaves sees less of everything.
      if (member.username === me.username) await queries.invalidateQueries({ queryKey: ["me"] });
    },
  });
  const change = useMutation({
    mutationFn: async ({ member, role: next }: { member: Member; role: string }) => {
      await put(member.username, next);
      say(`${member.username} is ${next} of ${name} now.`, async () => {
        await put(member.username, member.role);
        await refresh();
      });
    },
    onSettled: refresh,
  });
  return (
    <section className="stack" aria-label={name}>
      <div className="section-head">
        <h2 className="grow">
          {name} <span className="quiet">· {role ? `you are ${role}` : "you are no member"}</span>
        </h2>
        {admin && (
          <>
            <button type="button" className="button" onClick={() => setMaking("service")}>
              New service account
            </button>
            <button type="button" className="button" onClick={() => setMaking("member")}>
              Add a member
            </button>
          </>
        )}
      </div>
      {change.isError && <Failure error={change.error} />}
      {remove.isError && <Failure error={remove.error} />}
      <View query={team} height={96}>
        {(entity) => (
          <Rows<Member>
            name={`Members of ${name}`}
            rows={entity.members ?? []}
            id={(member) => member.username}
            columns={[
              { name: "Name", cell: (member) => <span className="nowrap">{member.username}</span> },
              {
                name: "Role",
                cell: (member) =>
                  admin ? (
                    <select className="select" style={{ width: 110 }} aria-label={`Role of ${member.username}`} value={member.role} disabled={change.isPending} onChange={(event) => change.mutate({ member, role: event.target.value })}>
                      {roles.map((word) => (
                        <option key={word}>{word}</option>
                      ))}
                    </select>
                  ) : (
                    member.role
                  ),
              },
              { name: "Kind", wide: true, cell: (member) => (member.service ? "service account" : "person") },
              ...(admin
                ? [
                    {
                      name: "Actions",
                      hidden: true,
                      num: true,
                      cell: (member: Member) => (
                        <button type="button" className="button danger" aria-label={`Remove ${member.username}`} disabled={remove.isPending} onClick={() => setRemoving(member)}>
                          Remove…
                        </button>
                      ),
                    },
                  ]
                : []),
            ]}
          />
        )}
      </View>
      {removing && (
        <Confirm title={`Remove ${removing.username} from ${name}?`} action="Remove 1 member" onYes={() => remove.mutate(removing)} onClose={() => setRemoving(null)}>
          <p>
            {removing.service ? "Without another team the account and its keys are deleted. " : ""}
            What {removing.username} has waiting in queues of {name} is stopped; what runs goes on. Runs keep their author.
          </p>
        </Confirm>
      )}
      {making === "member" && <NewMember team={name} onClose={() => setMaking(null)} />}
      {making === "service" && <NewService team={name} onClose={() => setMaking(null)} />}
    </section>
  );
}
