import type { RunGroup } from "../../api/types";
import { State } from "../../components/state";

/** How many runs of a group are in which state. */
export function GroupStates({ group }: { group: RunGroup }) {
  return (
    <span className="row" style={{ gap: 10 }}>
      {Object.entries(group.states).map(([state, n]) => (
        <State key={state} state={state} note={String(n)} />
      ))}
    </span>
  );
}
