import { useQuery } from "@tanstack/react-query";
import type { Team as TeamLine } from "../../api/types";
import { put, useAddress } from "../../app/address";
import { useMe } from "../../app/scope";
import type { Fields } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Rows } from "../../components/rows";
import { Cut, Empty, View } from "../../components/view";
import { Team } from "../settings/teams";
import { teamsQuery } from "./lists";

/** All teams of the server, and the members of the one that is open. */
export function AllTeams() {
  const me = useMe();
  const teams = useQuery(teamsQuery);
  const [search, change] = useAddress();
  const open = teams.data?.find((team) => team.name === search.get("team")) ?? (teams.data?.length === 1 ? teams.data[0] : undefined);
  const roleOf = (team: TeamLine) => me.entities.find((entity) => entity.name === team.name)?.role ?? null;
  const fields: Fields<TeamLine> = { role: (team) => roleOf(team) ?? "none", team: (team) => team.name, members: (team) => team.members };
  const filter = useListFilter("Filter teams", Object.keys(fields), { role: ["admin", "member", "viewer", "none"] });
  const shown = filter.keep(teams.data ?? [], fields);
  const show = (name: string) => change((params) => put(params, "team", name));
  return (
    <View query={teams} height={200} empty={(list) => (list.length === 0 ? <Empty>There is no team yet. A team shares projects, queues and agents.</Empty> : null)}>
      {(list) => (
        // Its height is its own: in the panel's column the upper table would give way to the lower one.
        <div className="stack" style={{ flex: "none" }}>
          <div className="row wrap">{filter.bar}</div>
          <Rows<TeamLine>
            name="Teams"
            rows={shown}
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
              { name: "You", wide: true, cell: (team) => roleOf(team) ?? <span className="quiet">no member</span> },
            ]}
          />
          {filter.none(shown)}
          <Cut list={list} what="teams" />
          {open && <Team key={open.name} name={open.name} role={roleOf(open)} />}
        </div>
      )}
    </View>
  );
}
