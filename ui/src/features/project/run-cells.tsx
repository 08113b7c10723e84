/** What stands in the cells of the runs table. */
import { Link } from "react-router";
import type { Run } from "../../api/types";
import { Ago, Lasted } from "../../components/parts";
import { State } from "../../components/state";
import { metric, shortJson } from "../../format/text";
import { jobAddress } from "../item/item-columns";
import { atPath } from "../launch/inputs";

/** The value of a run in a column. */
export function RunCell({ run, column, onTag }: { run: Run; column: string; onTag: (tag: string) => void }) {
  switch (column) {
    case "state":
      return <State state={run.state} />;
    case "author":
      return run.author;
    case "created":
      return <Ago time={run.created_at} />;
    case "duration":
      return <Lasted from={run.created_at} to={run.ended_at ?? (run.state === "running" ? null : run.heartbeat_at)} />;
    case "tags":
      return run.tags.map((tag) => (
        <button key={tag} type="button" className="chip" title={`Filter by ${tag}`} style={{ marginRight: 4 }} onClick={() => onTag(tag)}>
          {tag}
        </button>
      ));
    case "job": {
      const to = run.job ? jobAddress(run.job) : null;
      return to ? <Link to={to}>{run.job?.split("/").at(-1)}</Link> : "";
    }
    case "group":
      return run.group;
    case "job_type":
      return run.job_type;
    case "host":
      return run.host;
    case "notes":
      return run.notes.split("\n", 1)[0];
    case "id":
      return <code>{run.id}</code>;
    default: {
      const shown = run.exact ?? run;
      // A setting is what it is, to its last digit; results are rounded.
      if (column.startsWith("config.")) return shortJson(atPath(shown.config, column.slice(7)) ?? "");
      const value = atPath(shown.summary, column.slice(8));
      return typeof value === "number" ? metric(value) : shortJson(value ?? "");
    }
  }
}
