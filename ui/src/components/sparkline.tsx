import { useQuery } from "@tanstack/react-query";
import { type RunName, seriesQuery } from "../api/series";
import { finite } from "./plot";

const WIDTH = 64;
const HEIGHT = 20;

/** Points as the path of a small line; what is not a number leaves a gap. Pure. */
export function sparkPath(values: (number | null)[], width = WIDTH, height = HEIGHT): string {
  const there = values.filter((value) => value !== null);
  if (there.length < 2) return "";
  const low = Math.min(...there);
  const span = Math.max(...there) - low || 1;
  let path = "";
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    const x = (index / (values.length - 1)) * width;
    const y = 2 + (1 - (value - low) / span) * (height - 4);
    path += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    open = true;
  });
  return path;
}

/** The course of one metric of a run, without axes. */
export function Sparkline({ run, name }: { run: RunName; name: string }) {
  const { data } = useQuery(seriesQuery(run, "history", name, 48));
  const path = sparkPath((data ?? []).map(([, value]) => finite(value)));
  return (
    <svg className="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} aria-hidden="true">
      {path && <path d={path} />}
    </svg>
  );
}
