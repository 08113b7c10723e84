import { useQuery } from "@tanstack/react-query";
import { usageQuery } from "../../api/queries";
import { courseQuery } from "./course";
import type { Usage } from "../../api/types";
import { useAddress } from "../../app/address";
import { useScope } from "../../app/scope";
import { PageHead } from "../../app/shell";
import { Bars } from "../../components/bars";
import type { Fields } from "../../components/list-filter";
import { useListFilter } from "../../components/list-filter-bar";
import { Rows } from "../../components/rows";
import { Empty, Loading, View } from "../../components/view";
import { metric } from "../../format/text";

/** One line of CSV; text that a spreadsheet would run is made plain. */
export function csvLine(cells: (string | number)[]): string {
  return cells
    .map((cell) => {
      const text = typeof cell === "string" && /^[=+\-@\t]/.test(cell) ? `'${cell}` : String(cell);
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(",");
}

const fieldsOf = (by: string): Fields<Usage> => ({ [by]: (row) => row.key });

/** What was used, by user, queue, project or job. */
export function Component() {
  const { entities } = useScope();
  const [search, change] = useAddress();
  const by = search.get("by") ?? "user";
  const since = search.get("since") ?? "30d";
  const usage = useQuery(usageQuery(by, since, entities));
  const filter = useListFilter("Filter rows", [by], { [by]: (usage.data ?? []).slice(0, 40).map((row) => row.key) });
  const set = (key: string, value: string) => change((params) => params.set(key, value));
  const download = (rows: Usage[]) => {
    const text = [csvLine([by, "items", "wall_hours", "cpu_hours", "gpu_hours"]), ...rows.map((row) => csvLine([row.key, row.items, row.wall_hours, row.cpu_hours, row.gpu_hours]))].join("\n");
    const url = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `usage-by-${by}-${since}.csv`;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <>
      <PageHead
        title="Usage"
        action={
          usage.data && usage.data.length > 0 ? (
            <button type="button" className="button" onClick={() => download(filter.keep(usage.data, fieldsOf(by)))}>
              Download CSV
            </button>
          ) : null
        }
      />
      <div className="page-body">
        <div className="row wrap">
          <select className="select" style={{ width: 130 }} aria-label="By" value={by} onChange={(event) => set("by", event.target.value)}>
            {["user", "queue", "project", "job"].map((word) => (
              <option key={word} value={word}>
                by {word}
              </option>
            ))}
          </select>
          <select className="select" style={{ width: 130 }} aria-label="Range" value={since} onChange={(event) => set("since", event.target.value)}>
            {[1, 7, 30, 90].map((days) => (
              <option key={days} value={`${days}d`}>
                {days === 1 ? "1 day" : `${days} days`}
              </option>
            ))}
          </select>
          {filter.bar}
        </div>
        <Course by={by} since={since} entities={entities} />
        <View query={usage} height={200} empty={(rows) => (rows.length === 0 ? <Empty>Nothing ran in this time.</Empty> : null)}>
          {(rows) => {
            const most = Math.max(...rows.map((row) => row.wall_hours), 1e-9);
            return (
              <Rows<Usage>
                name="Usage"
                rows={filter.keep(rows, fieldsOf(by))}
                id={(row) => row.key}
                columns={[
                  { name: by[0]!.toUpperCase() + by.slice(1), cell: (row) => row.key },
                  { name: "Share", wide: true, cell: (row) => <span style={{ display: "block", height: 8, borderRadius: 3, background: "var(--accent)", width: `${(row.wall_hours / most) * 100}%`, minWidth: 2 }} /> },
                  { name: "Items", num: true, cell: (row) => row.items.toLocaleString("en-US") },
                  { name: "Wall hours", num: true, cell: (row) => metric(row.wall_hours) },
                  { name: "CPU hours", num: true, wide: true, cell: (row) => metric(row.cpu_hours) },
                  { name: "GPU hours", num: true, cell: (row) => metric(row.gpu_hours) },
                ]}
              />
            );
          }}
        </View>
      </div>
    </>
  );
}

const palette = ["var(--accent)", "var(--blue)", "var(--green)", "var(--amber)", "var(--violet)", "var(--red)", "var(--n9)"];

/** Wall hours over the range, stacked by who or what used them. */
function Course({ by, since, entities }: { by: string; since: string; entities: string[] }) {
  const days = Number(since.replace("d", ""));
  const course = useQuery(courseQuery(by, days, entities));
  if (!course.data || course.data.series.length === 0) return course.isPending ? <Loading height={200} /> : null;
  return <Bars name="Wall hours" labels={course.data.labels} format={metric} series={course.data.series.map((one, index) => ({ ...one, colour: palette[Math.min(index, palette.length - 1)]! }))} />;
}
