import type { ReactNode } from "react";
import type { Reason } from "../../api/types";

/** Why an item ended as it did, and what to do next; `children` stand at the side. */
export function Cause({ reason, state, children }: { reason: Reason; state: string; children?: ReactNode }) {
  return (
    <div className="banner" data-tone={state === "stopped" ? "amber" : "red"} role="status" aria-label="Cause">
      <div>
        <strong>
          <a href={`/errors/${reason.help}`}>{reason.help}</a> {reason.message}
        </strong>
        {reason.hint && <p>→ {reason.hint}</p>}
      </div>
      {children}
    </div>
  );
}
