/** A state as shape, word and colour: the one component that draws it. */
interface Look {
  tone: "quiet" | "blue" | "green" | "red" | "amber" | "violet";
  shape: "ring" | "half" | "dot" | "check" | "cross" | "square" | "question" | "again";
  pulse?: boolean;
  word?: string;
}

const looks: Record<string, Look> = {
  queued: { tone: "quiet", shape: "ring" },
  pending: { tone: "quiet", shape: "ring" },
  leased: { tone: "blue", shape: "half", word: "preparing" },
  running: { tone: "blue", shape: "dot", pulse: true },
  finished: { tone: "green", shape: "check" },
  failed: { tone: "red", shape: "cross" },
  crashed: { tone: "red", shape: "cross" },
  killed: { tone: "quiet", shape: "square" },
  stopped: { tone: "quiet", shape: "square" },
  lost: { tone: "red", shape: "cross" },
  unreachable: { tone: "amber", shape: "question" },
  retrying: { tone: "violet", shape: "again" },
  // Agents; words of the documentation.
  polling: { tone: "green", shape: "dot", word: "Polling" },
  "agent:running": { tone: "blue", shape: "dot", pulse: true, word: "Running" },
  draining: { tone: "amber", shape: "half", word: "Draining" },
  "agent:killed": { tone: "quiet", shape: "square", word: "Killed" },
  not_polling: { tone: "red", shape: "question", word: "Not polling" },
  // Queues.
  "queue:paused": { tone: "amber", shape: "half", word: "paused" },
  "queue:draining": { tone: "amber", shape: "half", word: "draining" },
  "queue:no agent": { tone: "red", shape: "question", word: "no agent" },
  "queue:working": { tone: "blue", shape: "dot", word: "working" },
  "queue:ready": { tone: "green", shape: "dot", word: "ready" },
};

function Shape({ shape }: { shape: Look["shape"] }) {
  const line = { fill: "none", stroke: "currentColor", strokeWidth: 1.8, strokeLinecap: "round", strokeLinejoin: "round" } as const;
  return (
    <svg viewBox="0 0 12 12" aria-hidden="true">
      {shape === "ring" && <circle cx="6" cy="6" r="4.4" {...line} />}
      {shape === "half" && (
        <>
          <circle cx="6" cy="6" r="4.4" {...line} />
          <path d="M6 6V1.6A4.4 4.4 0 0 1 10.4 6z" fill="currentColor" />
        </>
      )}
      {shape === "dot" && <circle cx="6" cy="6" r="4.6" fill="currentColor" />}
      {shape === "check" && <path d="M2 6.4l2.8 2.8L10 3.400" {...line} />}
      {shape === "cross" && <path d="M2.500 2.500l7 7M9.500 2.500l-7 7" {...line} />}
      {shape === "square" && <rect x="2" y="2" width="8" height="8" rx="1" fill="currentColor" />}
      {shape === "question" && <path d="M3.800 4.300a2.200 2.200 0 1 1 3 2c-.6.300-.8.700-.8 1.200M6 10.200v.01" {...line} />}
      {shape === "again" && <path d="M10 6a4 4 0 1 1-1.200-2.800M10 1.500v2.200H7.800" {...line} />}
    </svg>
  );
}

export function State({ state, of, note }: { state: string; of?: "agent" | "queue"; note?: string | null | undefined }) {
  const look = looks[of ? `${of}:${state}` : state] ?? looks[state] ?? { tone: "quiet", shape: "question" };
  return (
    <span className={look.pulse ? "state pulse" : "state"} data-tone={look.tone} data-state={state}>
      <Shape shape={look.shape} />
      <span>{look.word ?? state}</span>
      {note && <span className="quiet">{note}</span>}
    </span>
  );
}

/** What an item's row shows: silence and retries stand before the stored state. */
export function itemState(item: { state: string; unreachable: boolean; next_retry_at?: string | null }): string {
  if (item.unreachable) return "unreachable";
  if (item.state === "queued" && item.next_retry_at) return "retrying";
  return item.state;
}
