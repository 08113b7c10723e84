/** What the address says behind its `?`, and how a screen changes it.
 *
 * A navigation ends later: the router draws the page that it leads to in a transition, which may take a second when the page
 * is heavy. Until then the address that was drawn is an old one. A control that showed it would spring back under the
 * hand, and a second change that began from it would undo the first. */
import { useCallback, useMemo, useState } from "react";
import { useLocation, useNavigate } from "react-router";

/** Changes what stands in the address. `replace` makes it no step of the way back. */
export type ChangeAddress = (write: (params: URLSearchParams) => void, options?: { replace?: boolean }) => void;

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
    (write, { replace = false } = {}) => {
      // The browser's own address is ahead of what is drawn, too.
      const next = new URLSearchParams(asked ? asked.search : window.location.search);
      write(next);
      const text = next.size > 0 ? `?${next}` : "";
      const own = { search: text };
      asked = own;
      setMine({ of: key, search: text });
      void Promise.resolve(navigate({ search: text }, { replace })).finally(() => {
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
