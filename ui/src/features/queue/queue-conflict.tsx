/** Somebody else changed the queue while one was at its settings: who, when and what, and which of the two is to count. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { queueHistoryQuery } from "../../api/queries";
import type { Json, Queue } from "../../api/types";
import { Ago } from "../../components/parts";
import { shortJson } from "../../format/text";
import { differences, type Settings, settingsOf, valueAt } from "./queue-difference";

const written = (value: Json | undefined) => (value === undefined ? "nothing" : shortJson(value));

/** `mine` reads what was typed; null when it cannot be read yet. */
export function QueueConflict({ seen, now, mine, busy, onTake, onSaveOver }: {
  /** As it was when one began. */
  seen: Settings;
  now: Queue;
  mine: () => Promise<Settings | null>;
  busy: boolean;
  onTake: () => void;
  onSaveOver: () => void;
}) {
  const history = useInfiniteQuery(queueHistoryQuery(now.entity, now.name));
  const last = history.data?.pages[0]?.items.find((line) => line.changes.length > 0 || line.verb === "changed");
  const [typed, setTyped] = useState<Settings | null>(null);
  useEffect(() => {
    let gone = false;
    void mine().then((read) => !gone && setTyped(read));
    return () => {
      gone = true;
    };
  }, [mine]);
  const theirs = settingsOf(now) as unknown as Json;
  const changes = differences(seen as unknown as Json, theirs);
  return (
    <div className="banner" data-tone="amber" role="alert" aria-label="Changed by somebody else">
      <div className="stack grow" style={{ minWidth: 0 }}>
        <strong>
          {last ? (
            <>
              {last.actor} changed {now.name} <Ago time={last.time} />, while you were at it.
            </>
          ) : (
            `${now.name} was changed while you were at it.`
          )}
        </strong>
        <p>What you typed is still here and not saved. Saving it undoes this:</p>
        <div className="diff">
          {changes.map(({ path, from, to }) => {
            const own = typed ? valueAt(typed as unknown as Json, path) : from;
            const mineToo = typed !== null && differences(own, from).length > 0;
            return (
              <div key={path} className="pair">
                {from !== undefined && (
                  <div className="remove">
                    - {path} = {written(from)}
                  </div>
                )}
                {to !== undefined && (
                  <div className="add">
                    + {path} = {written(to)}
                  </div>
                )}
                {mineToo && <div>yours: {written(own)}</div>}
              </div>
            );
          })}
        </div>
        <div className="row">
          <button type="button" className="button" onClick={onTake}>
            Take theirs
          </button>
          <button type="button" className="button" disabled={busy} onClick={onSaveOver}>
            Save over it
          </button>
          <span className="quiet small">Theirs takes the place of all that you typed.</span>
        </div>
      </div>
    </div>
  );
}
