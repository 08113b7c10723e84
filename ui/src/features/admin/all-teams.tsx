import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, got } from "../../api/client";
import { allPages } from "../../api/pages";
import type { Team as TeamLine } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMe } from "../../app/scope";
import { Rows } from "../../components/rows";
import { Cut, Empty, View } from "../../components/view";
import { Team } from "../settings/teams";

const teamsQuery = queryOptions({ queryKey: ["teams"], queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/admin/teams", { params: { query } }))) });

/** All teams of the server, and the members of the one that is open. */
export function AllTeams() {
  const me = useMe();
  const teams = useQuery(teamsQuery);
  const [search, change] = useAddress();
  const open = teams.data?.find((team) => team.name === search.get("team")) ?? (teams.data?.length === 1 ? teams.data[0] : undefined);
  const show = (name: string) => change((params) => put(params, "team", name));
  return (
    <View query={teams} height={200} empty={(list) => (list.length === 0 ? <Empty>There is no team yet. A team shares projects, queues and agents.</Empty> : null)}>
      {(list) => (
        <>
          <Rows<TeamLine>
            name="Teams"
            rows={list}
            id={(team) => team.name}
            onOpen={(team) => show(team.name)}
            open={open?.name}
            columns={[
              {
                name: "Name",
                cell: (team) => (
                  <button type="button" className="link" onClick={() => show(team.name)}>
                    {team.name}
                  </button>
                ),
              },
              { name: "Members", num: true, cell: (team) => team.members },
              { name: "You", wide: true, cell: (team) => me.entities.find((entity) => entity.name === team.name)?.role ?? <span className="quiet">no member</span> },
            ]}
          />
          <Cut list={list} what="teams" />
          {open && <Team key={open.name} name={open.name} role={me.entities.find((entity) => entity.name === open.name)?.role ?? null} />}
        </>
      )}
    </View>
  );
}
