import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client";
import type { User } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMe } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Writable } from "../../app/writable";
import { Ago, Confirm, Tabs } from "../../components/parts";
import type { Fields } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Rows } from "../../components/rows";
import { Cut, Empty, Failure, View } from "../../components/view";
import { AllTeams } from "./all-teams";
import { NewMember, NewService, NewTeam, NewUser } from "./forms";
import { Health } from "./health";
import { usersQuery } from "./lists";

const kindOf = (user: User) => (user.service ? "service account" : user.admin ? "admin" : "person");
const fields: Fields<User> = { kind: kindOf, name: (user) => user.username };

/** Users and teams of the server. */
export function Component() {
  const me = useMe();
  const queries = useQueryClient();
  const users = useQuery({ ...usersQuery, enabled: me.admin });
  const [making, setMaking] = useState<"user" | "team" | "member" | "service" | null>(null);
  const [search, change] = useAddress();
  const filter = useListFilter("Filter users", Object.keys(fields), { kind: ["person", "admin", "service account"] });
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
          <Writable>
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
          </Writable>
        }
      />
      <Tabs
        name="Admin"
        open={search.get("tab") ?? "users"}
        onOpen={(tab) => change((params) => put(params, "tab", tab === "users" ? null : tab))}
        tabs={[
          {
            key: "users",
            name: "Users",
            body: () => (
              <>
                {remove.isError && <Failure error={remove.error} />}
                <div className="row wrap">{filter.bar}</div>
                <View query={users} height={200} empty={(list) => (list.length === 0 ? <Empty>There is no user yet.</Empty> : null)}>
                  {(list) => (
                    <Rows<User>
                      name="Users"
                      rows={filter.keep(list, fields)}
                      id={(user) => user.username}
                      columns={[
                        { name: "Name", cell: (user) => user.username },
                        { name: "Kind", cell: kindOf },
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
                {users.data && filter.none(filter.keep(users.data, fields))}
                <Cut list={users.data ?? []} what="users" />
              </>
            ),
          },
          { key: "teams", name: "Teams", body: () => <AllTeams /> },
          { key: "health", name: "Server", body: () => <Health /> },
        ]}
      />
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
