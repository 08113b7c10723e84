/** The entity switch: one entity, or all that the caller belongs to. It filters every list below it.
 *
 * The address says it (`?entity=NAME`, `*` for all) on the screens that show lists of entities, so that a link shows a
 * colleague the same lists. Where it says nothing, what was said last in this tab counts, then what was chosen last in
 * this browser: who opens a link keeps an own choice for the next visit. */
import { useSuspenseQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useSyncExternalStore } from "react";
import { useLocation } from "react-router";
import { meQuery } from "../api/queries";
import type { Me } from "../api/types";
import { useAddress } from "./address";

const key = "lanza.entity";
/** All entities, as the address calls them: no entity has this name. */
export const ALL = "*";
const watchers = new Set<() => void>();
/** What an address of this tab said last. */
let said: string | null = null;

/** The screens whose lists the switch filters. */
const filtered = new Set(["/", "/projects", "/launch", "/agents", "/usage"]);

const kept = () => said ?? globalThis.localStorage?.getItem(key) ?? "";

function keep(name: string) {
  said = name;
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

/** What an address that says `wanted` shows to somebody. Entities of others are not there for them: all of theirs are shown. */
export function scopeFor(me: Pick<Me, "entity" | "entities">, wanted: string): Scope {
  const all = me.entities.map((entity) => entity.name);
  const chosen = all.includes(wanted) ? wanted : "";
  return { chosen, entities: chosen ? [chosen] : all, one: chosen || me.entity };
}

/** What is chosen now, for who reads outside React. */
export const scopeOf = (me: Me, params: URLSearchParams): Scope => scopeFor(me, params.get("entity") ?? kept());

function useKept(): string {
  return useSyncExternalStore((watch) => {
    watchers.add(watch);
    return () => watchers.delete(watch);
  }, kept);
}

export function useScope(): Scope {
  const me = useMe();
  const [params] = useAddress();
  const text = useKept();
  return scopeFor(me, params.get("entity") ?? text);
}

/** The switch itself. It sees to it that addresses name what is shown. */
export function useEntitySwitch(): [Scope, (name: string) => void] {
  const me = useMe();
  const { pathname, hash } = useLocation();
  const [params, change] = useAddress();
  const text = useKept();
  const named = params.get("entity");
  const here = filtered.has(pathname);
  useEffect(() => {
    if (!here) return;
    if (named !== null) keep(named);
    // Who never chose has plain addresses.
    else if (text !== "") change((next) => next.set("entity", text), { replace: true, hash });
  }, [here, named, text, change, hash]);
  const choose = useCallback(
    (name: string) => {
      const wanted = name || ALL;
      localStorage.setItem(key, wanted);
      keep(wanted);
      if (here) change((next) => next.set("entity", wanted));
    },
    [here, change],
  );
  return [scopeFor(me, named ?? text), choose];
}

/** Whether somebody may do what needs this role in an entity. The server decides; this hides what it would refuse. A role in a
    team counts, also that of an admin of the server, who is one everywhere else. */
export function mayIn(me: Pick<Me, "admin" | "entities" | "scope">, entity: string, role: "member" | "admin"): boolean {
  if (me.scope === "read") return false;
  const mine = me.entities.find((known) => known.name === entity)?.role ?? (me.admin ? "admin" : null);
  return mine === "admin" || (role === "member" && mine === "member");
}

export const useMay = (entity: string, role: "member" | "admin"): boolean => mayIn(useMe(), entity, role);

/** Why nothing can be changed with the key that the caller signed in with; null when that is not so. */
export const useReadOnly = (): string | null => (useMe().scope === "read" ? "You signed in with a key that only reads." : null);
