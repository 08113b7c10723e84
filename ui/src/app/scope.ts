/** The entity switch: one entity, or all that the caller belongs to. It filters every list below it. */
import { useSuspenseQuery } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { meQuery } from "../api/queries";

const key = "lanza.entity";
const watchers = new Set<() => void>();

export function chooseEntity(name: string) {
  localStorage.setItem(key, name);
  watchers.forEach((watch) => watch());
}

/** Who is signed in. Only below the session's boundary. */
export function useMe() {
  return useSuspenseQuery(meQuery).data;
}

/** `chosen` is empty for all entities; `entities` are those that lists show. */
export function useScope(): { chosen: string; entities: string[]; one: string } {
  const me = useMe();
  const text = useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    () => localStorage.getItem(key) ?? "",
  );
  const all = me.entities.map((entity) => entity.name);
  const chosen = all.includes(text) ? text : "";
  return { chosen, entities: chosen ? [chosen] : all, one: chosen || me.entity };
}

/** Whether the caller may do what needs this role in an entity. The server decides; this hides what it would refuse. */
export function useMay(entity: string, role: "member" | "admin"): boolean {
  const me = useMe();
  const mine = me.entities.find((known) => known.name === entity)?.role;
  return me.admin || mine === "admin" || (role === "member" && mine === "member");
}
