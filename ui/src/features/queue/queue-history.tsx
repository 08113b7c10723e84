/** What was changed about a queue, by whom, value by value. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { queueHistoryQuery } from "../../api/queries";
import type { Json, Queue, QueueHistoryLine } from "../../api/types";
import { Ago } from "../../components/parts";
import { More, View } from "../../components/view";
import { count, shortJson } from "../../format/text";

interface Change {
  path: string;
  from: Json;
  to: Json;
}

export function QueueHistory({ queue }: { queue: Queue }) {
  const history = useInfiniteQuery(queueHistoryQuery(queue.entity, queue.name));
  const lines = history.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className="stack" aria-label="Changes">
      <h2>Changes</h2>
      <View query={history} height={120}>
        {() => <HistoryLines lines={lines} />}
      </View>
      <More shown={lines.length} what="changes" more={history.hasNextPage ? () => void history.fetchNextPage() : null} loading={history.isFetchingNextPage} />
    </section>
  );
}

/** Newest first; the newest change is open. */
export function HistoryLines({ lines }: { lines: QueueHistoryLine[] }) {
  if (lines.length === 0) return <p className="quiet">Nothing is known of its changes.</p>;
  const newest = lines.find((line) => line.changes.length > 0)?.id;
  return (
    <ol className="stack history">
      {lines.map((line) => {
        const head = (
          <>
            <strong>{line.actor}</strong> {line.verb} <Ago time={line.time} />
          </>
        );
        return (
          <li key={line.id}>
            {line.changes.length === 0 ? (
              <p>{head}</p>
            ) : (
              <details open={line.id === newest}>
                <summary>
                  {head} <span className="quiet">· {count(line.changes.length, "value")}</span>
                </summary>
                <div className="diff">
                  {(line.changes as unknown as Change[]).map((change) => (
                    <div key={change.path} className="pair">
                      {change.from !== null && (
                        <div className="remove">
                          - {change.path} = {shortJson(change.from)}
                        </div>
                      )}
                      {change.to !== null && (
                        <div className="add">
                          + {change.path} = {shortJson(change.to)}
                        </div>
                      )}
                    </div>
                  ))}
                </div>
              </details>
            )}
          </li>
        );
      })}
    </ol>
  );
}
