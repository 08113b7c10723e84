/** Runs put together by equal settings: how many, in which states, and how their metrics lie. */
import { useQuery } from "@tanstack/react-query";
import { runGroupsQuery } from "../../api/queries";
import type { Json, RunGroup } from "../../api/types";
import { Rows } from "../../components/rows";
import { Empty, View } from "../../components/view";
import { count, metric, shortJson } from "../../format/text";
import type { Chip } from "./run-filter";
import { GroupStates } from "./group-states";

/** Groups that are listed; a key with more values is no setting to group by. */
const MOST = 300;

/** The chip that holds for the runs of a group; null where no filter can say it. */
export function chipOf(key: string, value: Json): Chip | null {
  const name = key.startsWith("summary.") ? key.replace("summary.", "summary_metrics.") : key === "author" ? "username" : key;
  if (value === null) return { key: name, operator: "!=", value: "*" };
  if (typeof value === "object") return null;
  const text = String(value);
  // What reads as something else is quoted, so that it stays a text.
  const plain = typeof value !== "string" || (Number.isNaN(Number(text)) && !/^(true|false|\*)$|[,"]/.test(text));
  return { key: name, operator: "=", value: plain ? text : `"${text}"` };
}

export function Groups({ entity, project, by, metrics, filter, onOpen }: { entity: string; project: string; by: string[]; metrics: string[]; filter: string | undefined; onOpen: (chips: Chip[]) => void }) {
  const groups = useQuery(runGroupsQuery(entity, project, by, metrics, filter));
  const open = (group: RunGroup) => {
    const chips = by.map((key, index) => chipOf(key, (group.values[index] ?? null) as Json));
    if (chips.every((chip) => chip !== null)) onOpen(chips);
  };
  return (
    <View query={groups} height={240} empty={(list) => (list.length === 0 ? <Empty>No run fits the filters.</Empty> : null)}>
      {(list) => (
        <>
          <Rows<RunGroup>
            name="Groups"
            rows={list.slice(0, MOST)}
            id={(group) => JSON.stringify(group.values)}
            onOpen={open}
            columns={[
              ...by.map((key, index) => ({
                name: key.replace(/^(config|summary)\./, ""),
                cell: (group: RunGroup) => (
                  <button type="button" className="link" title="Show its runs" onClick={() => open(group)}>
                    {group.values[index] === null ? "none" : shortJson(group.values[index])}
                  </button>
                ),
              })),
              { name: "Runs", num: true, cell: (group) => group.runs.toLocaleString("en-US") },
              { name: "States", cell: (group) => <GroupStates group={group} /> },
              ...metrics.map((key) => ({
                name: key.replace(/^(config|summary)\./, ""),
                num: true,
                cell: (group: RunGroup) => {
                  const found = group.metrics[key];
                  if (!found || found.mean === null || found.mean === undefined) return <span className="quiet">–</span>;
                  return (
                    <span className="nowrap" title={`of ${count(found.count, "run")}`}>
                      {metric(found.mean)}{" "}
                      <span className="quiet small">
                        {metric(found.min)} … {metric(found.max)}
                      </span>
                    </span>
                  );
                },
              })),
            ]}
          />
          {list.length > MOST && (
            <p className="quiet small">
              The {MOST} largest of {list.length.toLocaleString("en-US")} groups are listed.
            </p>
          )}
        </>
      )}
    </View>
  );
}
