/** The text of `/metrics` as rows. Pure. */
export interface Metric {
  name: string;
  labels: string;
  value: number;
}

/** Buckets of histograms are left out: sums and counts say what a person reads. */
export function metricsOf(text: string): Metric[] {
  return text.split("\n").flatMap((line): Metric[] => {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)$/.exec(line.trim());
    if (!found || found[1]!.endsWith("_bucket")) return [];
    const value = Number(found[3]);
    return Number.isFinite(value) ? [{ name: found[1]!, labels: (found[2] ?? "").replaceAll('"', ""), value }] : [];
  });
}
