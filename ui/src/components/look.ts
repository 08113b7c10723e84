/** How charts are drawn, as the address says it: smoothing, axes, the range one zoomed to. */
import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import type { Range } from "../api/series";
import type { XAxis } from "./plot";

export interface ChartLook {
  smoothing: number;
  log: boolean;
  axis: XAxis;
  /** In units of the axis: steps or seconds. */
  zoom: Range | null;
  /** What the names of charts are searched for. */
  search: string;
}

/** Reads the look from an address; what makes no sense is the default. */
export function lookOf(params: URLSearchParams): ChartLook {
  const smoothing = Number(params.get("smooth"));
  const axis = params.get("axis");
  const zoom = /^(-?[\d.]+)~(-?[\d.]+)$/.exec(params.get("zoom") ?? "");
  const [from, to] = [Number(zoom?.[1]), Number(zoom?.[2])];
  return {
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : 0,
    log: params.get("log") === "1",
    axis: axis === "time" || axis === "clock" ? axis : "step",
    zoom: zoom && from < to ? { from, to } : null,
    search: params.get("charts") ?? "",
  };
}

/** Writes what differs from the default, so that plain addresses stay short. */
export function writeLook(params: URLSearchParams, look: ChartLook) {
  const put = (key: string, value: string) => (value ? params.set(key, value) : params.delete(key));
  put("smooth", look.smoothing > 0 ? String(look.smoothing) : "");
  put("log", look.log ? "1" : "");
  put("axis", look.axis === "step" ? "" : look.axis);
  put("zoom", look.zoom ? `${look.zoom.from}~${look.zoom.to}` : "");
  put("charts", look.search);
}

/** The look of the page's charts and how it is changed. Changes replace the address: they are no steps of a way back. */
export function useLook(): [ChartLook, (change: Partial<ChartLook>) => void] {
  const [params, setParams] = useSearchParams();
  const text = ["smooth", "log", "axis", "zoom", "charts"].map((key) => params.get(key) ?? "").join("\n");
  // The text names all that the look is read from.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const look = useMemo(() => lookOf(params), [text]);
  const change = useCallback(
    (part: Partial<ChartLook>) =>
      setParams(
        (before) => {
          const next = new URLSearchParams(before);
          const was = lookOf(before);
          // A range of steps means nothing on another axis.
          writeLook(next, { ...was, ...part, ...(part.axis && part.axis !== was.axis ? { zoom: null } : {}) });
          return next;
        },
        { replace: true },
      ),
    [setParams],
  );
  return [look, change];
}
