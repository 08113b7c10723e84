/** Streams of events within the budget of the browser's connections. A window that holds one passes on what it hears, so that
    the others, which have no connection left for it, hear it too. */
import { FOR_ONE, holdSlot } from "./slots";

/** How long a stream that was refused is left alone before it is opened again, in milliseconds. The browser itself goes on
    trying where the connection broke. */
const AGAIN = 10_000;
/** How often a window says that its stream is open, and after which silence others do not rely on it. */
const BEAT = 2_000;
const SILENT = 5_000;
/** How long a first word is waited for before the stream counts as down. */
const FIRST = 3_000;

interface Word {
  /** Kind of the event; none: the stream is open. */
  type?: string;
  data: string;
  id: string;
}

export interface Told {
  /** The stream is open; what was said before may have been missed. */
  open: () => void;
  message: (type: string, data: string, id: string) => void;
  down: () => void;
}

/** Follows a stream until the returned function is called. `path` is asked at each opening; `key` is the same in all windows
    that want the same stream, `slots` are those that it may take. */
export function share(key: string, path: () => string, types: string[], told: Told, slots = FOR_ONE): () => void {
  const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(`lanza ${key}`) : null;
  let source: EventSource | null = null;
  let up: boolean | null = null;
  let free: () => void = () => undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  let beat: ReturnType<typeof setInterval> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;

  const down = () => {
    clearTimeout(silence);
    if (up === false) return;
    up = false;
    told.down();
  };
  const drop = () => {
    clearInterval(beat);
    source?.close();
    source = null;
  };
  const pass = (word: Word) => channel?.postMessage(word);
  const open = () => {
    drop();
    source = new EventSource(path());
    const own = source;
    own.onopen = () => {
      clearTimeout(silence);
      clearInterval(beat);
      pass({ data: "", id: "" });
      beat = setInterval(() => pass({ data: "", id: "" }), BEAT);
      up = true;
      told.open();
    };
    const heard = (type: string) => (event: MessageEvent<string>) => {
      pass({ type, data: event.data, id: event.lastEventId });
      told.message(type, event.data, event.lastEventId);
    };
    own.onmessage = heard("message");
    for (const type of types) own.addEventListener(type, heard(type) as EventListener);
    own.onerror = () => {
      clearInterval(beat);
      down();
      if (own.readyState !== EventSource.CLOSED) return;
      // Refused: what it held is for others meanwhile.
      drop();
      free();
      again = setTimeout(hold, AGAIN);
    };
  };
  const hold = () => {
    free = holdSlot(slots, open, () => {
      drop();
      silence = setTimeout(down, SILENT);
      hold();
    });
  };
  if (channel) {
    channel.onmessage = ({ data: word }: MessageEvent<Word>) => {
      if (source?.readyState === 1) return;
      clearTimeout(silence);
      silence = setTimeout(down, SILENT);
      if (up !== true) {
        up = true;
        told.open();
      }
      if (word.type) told.message(word.type, word.data, word.id);
    };
  }
  silence = setTimeout(down, FIRST);
  hold();
  return () => {
    drop();
    free();
    clearTimeout(again);
    clearTimeout(silence);
    channel?.close();
  };
}

/** How long a log is listened to at a time where there is no connection to leave open, and how long not, in milliseconds. */
const LISTEN = 700;
const REST = 1_300;

/** Follows a log route that sends JSON events with a `line` each, until it ends. `path` has the first one as `from_line`. While
    other streams take the connections it listens now and then; a hidden page does not listen. Returns a function that stops it. */
export function followLog<T extends { line: number }>(path: string, onLine: (line: T) => void, onEnd: (ended: boolean) => void): () => void {
  let source: EventSource | null = null;
  let free: () => void = () => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = 0;

  const stop = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const close = () => {
    document.removeEventListener("visibilitychange", onVisible);
    stop();
    free();
  };
  /** Goes on at the last line: it may have been drawn anew. */
  const listen = () => {
    stop();
    source = new EventSource(last ? path.replace(/from_line=\d+/, `from_line=${last}`) : path);
    source.onmessage = (message: MessageEvent<string>) => {
      const line = JSON.parse(message.data) as T;
      last = line.line;
      onLine(line);
    };
    source.addEventListener("end", () => {
      close();
      onEnd(true);
    });
    source.onerror = () => {
      // A stream that broke would begin anew and send every line twice: the caller decides.
      close();
      onEnd(false);
    };
    return source;
  };
  const glimpse = () => {
    listen().onopen = () => {
      timer = setTimeout(() => {
        stop();
        timer = setTimeout(glimpse, REST);
      }, LISTEN);
    };
  };
  const begin = () => {
    // What is free is given at once; until then, or where there is nothing free, it listens now and then.
    timer = setTimeout(glimpse, 200);
    free = holdSlot(FOR_ONE, listen, () => {
      free();
      begin();
    });
  };
  const onVisible = () => {
    stop();
    free();
    if (!document.hidden) begin();
  };
  document.addEventListener("visibilitychange", onVisible);
  if (!document.hidden) begin();
  return close;
}
