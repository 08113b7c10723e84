/** The tabs of a page: each has its address, and what stood behind its `?` when one comes back to it. */
import { useCallback } from "react";
import { useNavigate } from "react-router";

/** What was set on a tab, for as long as the app is open. */
const left = new Map<string, string>();

/** Opens a tab of the page at `base`; `first` is the one that the bare address shows. */
export function useTabs(base: string, first: string, open: string): (key: string) => void {
  const navigate = useNavigate();
  return useCallback(
    (key) => {
      left.set(`${base} ${open}`, window.location.search);
      void navigate({ pathname: key === first ? base : `${base}/${key}`, search: left.get(`${base} ${key}`) ?? "" });
    },
    [navigate, base, first, open],
  );
}
