/** Whole lists: all pages of one, up to a number that a screen can still show. */

/** Objects of a page; the most that the server answers at once. */
const PAGE = 1_000;
/** Objects of a list that are read at most. */
export const MOST = 10_000;

/** What asks for one page. `after` is missing for the first. */
export type ReadPage<T> = (query: { limit: number; after?: string }) => Promise<{ items: T[]; next?: string | null }>;

/** Reads a list to its end, or until it has one more than `MOST`: that one says that the list goes on (`isCut`). */
export async function allPages<T>(read: ReadPage<T>): Promise<T[]> {
  const items: T[] = [];
  let after: string | undefined;
  do {
    const page = await read({ limit: Math.min(PAGE, MOST + 1 - items.length), ...(after === undefined ? {} : { after }) });
    items.push(...page.items);
    // A page that brings nothing and still goes on would be asked for for ever.
    after = page.items.length === 0 ? undefined : (page.next ?? undefined);
  } while (after !== undefined && items.length <= MOST);
  return items;
}

/** Reads the lists of several entities, one after the other in what is returned. */
export async function allOf<T>(entities: string[], read: (entity: string) => ReadPage<T>): Promise<T[]> {
  const lists = await Promise.all(entities.map(async (entity) => allPages(read(entity))));
  return lists.flat().slice(0, MOST + 1);
}

/** Whether a list of `allPages` or `allOf` goes on after what was read. */
export const isCut = (list: readonly unknown[]) => list.length > MOST;
