/** A launch on a queue. The drawer and its job are in the address (`?launch=JOB`, `choose` while there is none). */
import { type ReactNode, useCallback } from "react";
import { useNavigate } from "react-router";
import { put, useAddress } from "../../app/address";
import { LaunchDrawer } from "../launch/launch-drawer";

const CHOOSE = "choose";

/** Opens the drawer, and the drawer while it is open. */
export function useQueueLaunch(entity: string, name: string): [begin: () => void, drawer: ReactNode] {
  const [search, change] = useAddress();
  const navigate = useNavigate();
  const launch = search.get("launch");
  const begin = useCallback(() => change((params) => params.set("launch", CHOOSE)), [change]);
  const drawer = launch !== null && (
    <LaunchDrawer
      job={launch === CHOOSE ? null : launch}
      queue={{ entity, name }}
      onJob={(job) => change((params) => params.set("launch", job), { replace: true })}
      onClose={() => change((params) => put(params, "launch", null))}
      onLaunched={(id) => void navigate(`/launch/${entity}/${name}/items?item=${id}`)}
    />
  );
  return [begin, drawer];
}
