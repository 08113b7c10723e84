/** Requests at once: many runs must not take all connections of the page. */
const AT_ONCE = 4;

/** What became of each. */
export interface Tried<T> {
  done: T[];
  refused: { one: T; error: unknown }[];
}

/** Does something to each, a few at a time, and says what became of it. `tell` hears how many were tried so far. */
export async function tryEach<T>(list: T[], act: (one: T) => Promise<unknown>, tell: (tried: number) => void = () => undefined): Promise<Tried<T>> {
  let next = 0;
  const tried: Tried<T> = { done: [], refused: [] };
  const worker = async () => {
    while (next < list.length) {
      const one = list[next++]!;
      try {
        await act(one);
        tried.done.push(one);
      } catch (error) {
        tried.refused.push({ one, error });
      }
      tell(tried.done.length + tried.refused.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return tried;
}

/** Does something to each, a few at a time. The first refusal is thrown when all were tried. */
export async function each<T>(list: T[], act: (one: T) => Promise<unknown>): Promise<void> {
  const { refused } = await tryEach(list, act);
  if (refused.length > 0) throw refused[0]!.error;
}
