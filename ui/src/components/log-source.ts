/** The lines of a log, outside React: opened at its end, read in blocks where one looks, followed live. A log of a million
    lines costs what is looked at. */
import { readJson, withQuery } from "../api/client";
import { type LogPart, readLog, TAIL } from "../api/log";
import { followLog } from "../api/streams";

export interface LogLine {
  text: string;
  level?: string | null;
}

interface Sent {
  line: number;
  text: string;
  level?: string | null;
}

export interface LogHit {
  /** Line number from 1. */
  line: number;
  text: string;
}

/** Lines of a block. */
export const BLOCK = 500;
/** Blocks that are kept; others are read again when one looks at them. */
const KEPT = 240;

/** Lines a second from which on not every frame draws them. */
export const RUSH = 1_000;
/** Milliseconds between two drawings then. */
export const RUSH_PAUSE = 100;

/** Where the lines come from. Tests hand in their own. */
export interface LogDoor {
  read: (path: string, part: { tail?: number; from_line?: number; lines?: number }) => Promise<LogPart>;
  follow: (path: string, onLine: (line: Sent) => void, onEnd: (ended: boolean) => void) => () => void;
}

const server: LogDoor = { read: readLog, follow: followLog };

export class LogSource {
  /** Lines that there are. */
  total = 0;
  opened = false;
  ended = false;
  /** The stream broke; it is begun again where it stopped. */
  broken = false;
  failure: unknown = null;
  version = 0;
  /** Lines that went by faster than they could be read: they came and were gone between two drawings of who follows. */
  skipped = 0;
  /** The longest line that was seen, in characters. */
  widest = 0;
  private readonly blocks = new Map<number, (LogLine | undefined)[]>();
  private readonly asked = new Set<number>();
  private readonly watchers = new Set<() => void>();
  private scheduled = false;
  /** The last line that was drawn, or that nobody waited for. */
  private drawn = 0;
  /** Lines at the last drawing, and when it was. */
  private told = { total: 0, at: 0 };
  /** Lines a second between the last two drawings. */
  private rate = 0;
  private stopFollowing: (() => void) | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private closed = true;

  constructor(
    private readonly path: string,
    private readonly door: LogDoor = server,
  ) {}

  watch = (run: () => void) => {
    this.watchers.add(run);
    return () => this.watchers.delete(run);
  };

  /** Begins at the end. Returns what stops it. */
  open = (): (() => void) => {
    this.closed = false;
    void this.begin();
    return () => {
      this.closed = true;
      clearTimeout(this.retry);
      this.stopFollowing?.();
      this.stopFollowing = null;
    };
  };

  /** Reads again from the end, after an error. */
  again = () => {
    this.failure = null;
    this.broken = false;
    clearTimeout(this.retry);
    this.stopFollowing?.();
    void this.begin();
  };

  line(number: number): LogLine | undefined {
    return this.blocks.get(Math.floor((number - 1) / BLOCK))?.[(number - 1) % BLOCK];
  }

  /** Sees to it that the lines of a range will be there. */
  need(from: number, to: number) {
    for (let block = Math.floor((Math.max(1, from) - 1) / BLOCK); block <= Math.floor((Math.min(to, this.total) - 1) / BLOCK); block++) {
      if (this.asked.has(block) || this.isWhole(block)) continue;
      void this.load(block);
    }
  }

  private async begin() {
    try {
      const part = await this.door.read(this.path, { tail: TAIL });
      if (this.closed) return;
      this.put(part);
      this.opened = true;
      this.drawn = this.total;
      this.told = { total: this.total, at: performance.now() };
      this.changed();
      this.followFrom(this.total + 1);
    } catch (error) {
      if (this.closed) return;
      this.failure = error;
      this.changed();
    }
  }

  private followFrom(line: number) {
    this.stopFollowing = this.door.follow(
      withQuery(this.path, { follow: true, from_line: line }),
      (sent) => this.set(sent.line, { text: sent.text, level: sent.level ?? null }),
      (ended) => {
        this.ended = ended;
        this.broken = !ended;
        this.changed();
        // The server went away: the stream goes on where it stopped. The last line may have been half of one.
        if (!ended && !this.closed) this.retry = setTimeout(() => this.followFrom(Math.max(1, this.total)), 5_000);
      },
    );
  }

  private isWhole(block: number): boolean {
    const lines = this.blocks.get(block);
    if (!lines) return false;
    const wanted = Math.min(BLOCK, this.total - block * BLOCK);
    for (let i = 0; i < wanted; i++) if (lines[i] === undefined) return false;
    return true;
  }

  private async load(block: number) {
    this.asked.add(block);
    try {
      this.put(await this.door.read(this.path, { from_line: block * BLOCK + 1, lines: BLOCK }));
      this.failure = null;
    } catch (error) {
      this.failure = error;
    } finally {
      this.asked.delete(block);
      this.changed();
    }
  }

  private put(part: LogPart) {
    this.total = Math.max(this.total, part.lines);
    if (part.text === "") return;
    const lines = part.text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    lines.forEach((text, index) => {
      // What was sent live knows its level.
      if (this.line(part.first + index)?.text !== text) this.set(part.first + index, { text });
    });
  }

  private set(number: number, line: LogLine) {
    const block = Math.floor((number - 1) / BLOCK);
    let lines = this.blocks.get(block);
    if (!lines) {
      lines = [];
      this.blocks.set(block, lines);
      this.forget(block);
    }
    lines[(number - 1) % BLOCK] = line;
    this.total = Math.max(this.total, number);
    this.widest = Math.max(this.widest, Math.min(line.text.length, 4_000));
    this.changed();
  }

  /** Drops the block that is farthest from the one that came. */
  private forget(near: number) {
    if (this.blocks.size <= KEPT) return;
    let far = near;
    for (const block of this.blocks.keys()) if (Math.abs(block - near) > Math.abs(far - near)) far = block;
    this.blocks.delete(far);
  }

  /** Who draws the lines says how many it shows at once, and whether it keeps to the newest. What came since the last
      time and does not fit was skipped. */
  seen(rows: number, following: boolean) {
    if (following && this.opened) this.skipped += Math.max(0, this.total - this.drawn - rows);
    this.drawn = this.total;
  }

  private changed() {
    if (this.scheduled) return;
    this.scheduled = true;
    const tell = () => {
      this.scheduled = false;
      const at = performance.now();
      this.rate = ((this.total - this.told.total) * 1000) / Math.max(1, at - this.told.at);
      this.told = { total: this.total, at };
      this.version++;
      this.watchers.forEach((run) => run());
    };
    // In a rush the newest lines are drawn a few times a second: more often nobody could read them, and the page stays as
    // quick as it is without them.
    if (this.rate > RUSH) setTimeout(tell, RUSH_PAUSE);
    else if (typeof requestAnimationFrame === "function" && !document.hidden) requestAnimationFrame(tell);
    else setTimeout(tell, 50);
  }
}

/** Hits of a search at most; more do not help a reader. */
export const MOST_HITS = 1_000;

/** Finds text in a log, on the server. `route` is the log's own with `/search` behind it. */
export async function searchLog(path: string, text: string, signal: AbortSignal): Promise<{ hits: LogHit[]; more: boolean }> {
  const [route, query] = path.split("?");
  const hits: LogHit[] = [];
  let after: string | undefined;
  do {
    const page = await readJson<{ items: { line: number; number?: number; text: string }[]; next: string | null }>(
      withQuery(`${route}/search${query ? `?${query}` : ""}`, { q: text, limit: 500, after }),
      signal,
    );
    hits.push(...page.items.map((item) => ({ line: item.number ?? item.line, text: item.text })));
    after = page.next ?? undefined;
  } while (after !== undefined && hits.length < MOST_HITS);
  return { hits, more: after !== undefined };
}
