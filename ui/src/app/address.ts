/** What the address says behind its `?`, and how a screen changes it.
 *
 * A navigation ends later: the router draws the page that it leads to in a transition, which may take a second when the page
 * is heavy. Until then the address that was drawn is an old one. A control that showed it would spring back under the
 * hand, and a second change that began from it would undo the first. */
import { useCallback, useEffect, useMemo, useState } from "react";
import { useLocation, useNavigate } from "react-router";

/** Changes what stands in the address. `replace` makes it no step of the way back; `hash` is what stands behind `#` then,
    nothing as a rule: a line of a log means nothing on another one. */
export type ChangeAddress = (write: (params: URLSearchParams) => void, options?: { replace?: boolean; hash?: string }) => void;

/** The newest search that was asked for, while the navigation to it is under way. */
let asked: { search: string } | null = null;

/** The parameters of the address as they were asked for last, and their change. What a component asked for is what it sees
    at once; the rest of the page follows when it has been drawn. */
export function useAddress(): [URLSearchParams, ChangeAddress] {
  const { key, search } = useLocation();
  const navigate = useNavigate();
  // Right until the router has drawn any other place.
  const [mine, setMine] = useState<{ of: string; search: string } | null>(null);
  const shown = mine?.of === key ? mine.search : search;
  const params = useMemo(() => new URLSearchParams(shown), [shown]);
  const change = useCallback<ChangeAddress>(
    (write, { replace = false, hash = "" } = {}) => {
      // The browser's own address is ahead of what is drawn, too.
      const next = new URLSearchParams(asked ? asked.search : window.location.search);
      write(next);
      const text = next.size > 0 ? `?${next}` : "";
      const own = { search: text };
      asked = own;
      setMine({ of: key, search: text });
      void Promise.resolve(navigate({ search: text, hash }, { replace })).finally(() => {
        if (asked === own) asked = null;
      });
    },
    [key, navigate],
  );
  return [params, change];
}

/** Writes a parameter, or takes it out when there is nothing to say. */
export function put(params: URLSearchParams, key: string, value: string | null) {
  if (value) params.set(key, value);
  else params.delete(key);
}

/** Letters of ids that an address holds under one key. Servers and what stands before them take some 8,000 in all. */
const ROOM = 4_000;

/** Ids as a parameter, separated by commas: as many as there is room for, the first ones. */
export function idsText(ids: Iterable<string>): string {
  let text = "";
  let used = 0;
  for (const id of ids) {
    // What the browser writes for the letters, and three for the comma.
    used += encodeURIComponent(id).length + 3;
    if (used > ROOM) break;
    text += `${text && ","}${id}`;
  }
  return text;
}

/** The ids of a parameter. */
export const idsOf = (params: URLSearchParams, key: string): string[] => params.get(key)?.split(",").filter(Boolean) ?? [];

/** How long a hand rests before the address is told, in milliseconds. */
const REST = 250;

/** A value that follows the hand at once and is told to its owner a moment later. */
export function useSettled<T>(value: T, settle: (value: T) => void): [T, (next: T) => void] {
  const [now, setNow] = useState(value);
  const [before, setBefore] = useState(value);
  if (before !== value) {
    // It changed otherwise: a link, or the way back.
    setBefore(value);
    setNow(value);
  }
  useEffect(() => {
    if (now === value) return;
    const timer = setTimeout(() => settle(now), REST);
    return () => clearTimeout(timer);
  }, [now, value, settle]);
  return [now, setNow];
}
