/** How charts are drawn, as the address says it: smoothing, axes, the range one zoomed to. */
import { useCallback, useMemo } from "react";
import type { Range } from "../api/series";
import { put, useAddress } from "../app/address";
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
  put(params, "smooth", look.smoothing > 0 ? String(look.smoothing) : "");
  put(params, "log", look.log ? "1" : "");
  put(params, "axis", look.axis === "step" ? "" : look.axis);
  put(params, "zoom", look.zoom ? `${look.zoom.from}~${look.zoom.to}` : "");
  put(params, "charts", look.search);
}

/** The look of the page's charts and how it is changed. Changes replace the address: they are no steps of a way back. */
export function useLook(): [ChartLook, (change: Partial<ChartLook>) => void] {
  const [params, ask] = useAddress();
  const text = ["smooth", "log", "axis", "zoom", "charts"].map((key) => params.get(key) ?? "").join("\n");
  // The text names all that the look is read from.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const look = useMemo(() => lookOf(params), [text]);
  const change = useCallback(
    (part: Partial<ChartLook>) =>
      ask(
        (next) => {
          const was = lookOf(next);
          // A range of steps means nothing on another axis.
          writeLook(next, { ...was, ...part, ...(part.axis && part.axis !== was.axis ? { zoom: null } : {}) });
        },
        { replace: true },
      ),
    [ask],
  );
  return [look, change];
}
