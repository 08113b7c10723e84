/** The entity switch: one entity, or all that the caller belongs to. It filters every list below it. */
import { useSuspenseQuery } from "@tanstack/react-query";
import { useSyncExternalStore } from "react";
import { meQuery } from "../api/queries";
import type { Me } from "../api/types";

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

export interface Scope {
  /** Empty for all entities. */
  chosen: string;
  /** Those that lists show. */
  entities: string[];
  /** One that lists show. */
  one: string;
}

const stored = () => localStorage.getItem(key) ?? "";

function scopeFor(me: Me, wanted: string): Scope {
  const all = me.entities.map((entity) => entity.name);
  const chosen = all.includes(wanted) ? wanted : "";
  return { chosen, entities: chosen ? [chosen] : all, one: chosen || me.entity };
}

/** What is chosen now, for who reads outside React. */
export const scopeOf = (me: Me): Scope => scopeFor(me, stored());

export function useScope(): Scope {
  const me = useMe();
  const text = useSyncExternalStore(
    (watch) => {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
    stored,
  );
  return scopeFor(me, text);
}

/** Whether the caller may do what needs this role in an entity. The server decides; this hides what it would refuse. */
export function useMay(entity: string, role: "member" | "admin"): boolean {
  const me = useMe();
  const mine = me.entities.find((known) => known.name === entity)?.role;
  return me.admin || mine === "admin" || (role === "member" && mine === "member");
}
