/** How many streams the windows of a browser hold open together. A browser has six connections to a host over HTTP/1.1, for
    all of its windows: were streams to take them all, every other request would wait for ever, without a word. Who gets no
    slot polls, and asks for one again and again. */

/** The slot of the one stream that all windows hear. */
export const FOR_ALL = [0];
/** The slots of streams that one window needs. The other half of the connections is for requests. */
export const FOR_ONE = [1, 2];
/** How often who has no slot asks for one, in milliseconds. */
export const TRY_EVERY = 1_000;
/** How long a slot of a window that said nothing more is kept from others where there are no locks, in milliseconds. Long: a
    window that hangs has its connection still. */
export const LEASE = 20_000;
/** How often a window says there that it is alive, and how long it waits to see whether another wrote at the same time. */
const BEAT = 2_000;
const SETTLE = 60;

const nameOf = (slot: number) => `lanza-stream-${slot}`;

/** Calls `taken` once one of `slots` is this caller's, which it is until the returned function is called or `lost` says that
    it is another's (then it may be asked for again). */
export function holdSlot(slots: number[], taken: () => void, lost: () => void): () => void {
  // Locks end with their window, however it ends. Only secure contexts have them: https, and this machine itself.
  return "locks" in navigator && navigator.locks ? byLock(slots, taken) : byLease(slots, taken, lost);
}

function byLock(slots: number[], taken: () => void): () => void {
  let closed = false;
  let free: () => void = () => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const take = async (slot: number) =>
    new Promise<(() => void) | null>((got) => {
      const held = navigator.locks.request(nameOf(slot), { ifAvailable: true }, async (lock) => {
        if (!lock) return got(null);
        return new Promise<void>((done) => got(done));
      });
      held.catch(() => got(null));
    });
  const attempt = async () => {
    for (const slot of slots) {
      if (closed) return;
      const release = await take(slot);
      if (!release) continue;
      if (closed) return release();
      free = release;
      return taken();
    }
    if (!closed) timer = setTimeout(() => void attempt(), TRY_EVERY);
  };
  void attempt();
  return () => {
    closed = true;
    clearTimeout(timer);
    free();
  };
}

interface Lease {
  who: string;
  at: number;
}

function read(slot: number): Lease | null {
  try {
    const found = JSON.parse(localStorage.getItem(nameOf(slot)) ?? "null") as Lease | null;
    // A clock that was put back leaves leases from the future.
    return found && Math.abs(Date.now() - found.at) < LEASE ? found : null;
  } catch {
    return null;
  }
}

/** Two windows that write in the same instant see it a moment later: the one that is read back has the slot. */
function byLease(slots: number[], taken: () => void, lost: () => void): () => void {
  const who = `${Date.now()}-${Math.random()}`;
  let held: number | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = (slot: number) => {
    try {
      localStorage.setItem(nameOf(slot), JSON.stringify({ who, at: Date.now() }));
      return true;
    } catch {
      // Who can keep nothing cannot agree with other windows, and polls.
      return false;
    }
  };
  const mine = (slot: number) => read(slot)?.who === who;
  const beat = (slot: number) => {
    if (mine(slot)) {
      write(slot);
      timer = setTimeout(() => beat(slot), BEAT);
    } else {
      held = null;
      lost();
    }
  };
  const settle = (slot: number) => {
    if (!mine(slot)) return attempt();
    held = slot;
    timer = setTimeout(() => beat(slot), BEAT);
    taken();
  };
  const attempt = () => {
    for (const slot of slots) {
      if (read(slot) || !write(slot)) continue;
      held = slot;
      timer = setTimeout(() => settle(slot), SETTLE);
      return;
    }
    timer = setTimeout(attempt, TRY_EVERY);
  };
  const free = () => {
    clearTimeout(timer);
    removeEventListener("pagehide", free);
    if (held !== null && mine(held)) localStorage.removeItem(nameOf(held));
    held = null;
  };
  addEventListener("pagehide", free);
  attempt();
  return free;
}
