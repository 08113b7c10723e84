/** What was typed into a form and not sent, for when one comes back to it. It is kept as long as the page is. */
const drafts = new Map<string, unknown>();

export const keptDraft = <T>(key: string): T | undefined => drafts.get(key) as T | undefined;

export function keepDraft(key: string, draft: unknown) {
  if (draft === undefined) drafts.delete(key);
  else drafts.set(key, draft);
}
