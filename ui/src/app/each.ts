/** Requests at once: many runs must not take all connections of the page. */
const AT_ONCE = 4;

/** Does something to each, a few at a time. The first refusal is thrown when all were tried. */
export async function each<T>(list: T[], act: (one: T) => Promise<unknown>): Promise<void> {
  let next = 0;
  const refused: unknown[] = [];
  const worker = async () => {
    while (next < list.length) {
      const one = list[next++]!;
      try {
        await act(one);
      } catch (error) {
        refused.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (refused.length > 0) throw refused[0];
}
