/** Whether somebody would lose something if the page went away: fields that were changed by hand and are still there. What was
    sent or closed is not there any more. */
const changed = new WeakSet<EventTarget>();

/** Notes which fields are changed by hand. Returns what ends that. */
export function watchFields(): () => void {
  const onInput = (event: Event) => {
    if (event.target) changed.add(event.target);
  };
  document.addEventListener("input", onInput, true);
  return () => document.removeEventListener("input", onInput, true);
}

/** Filters and searches are quickly typed again; most stand in the address. */
const isSearch = (field: Element) => field.matches("[type=search], [data-filter], [type=range]");

function holds(field: Element): boolean {
  if (!changed.has(field) || isSearch(field)) return false;
  if (field instanceof HTMLTextAreaElement) return field.value !== "";
  const chosen = !(field instanceof HTMLInputElement) || field.type === "checkbox" || field.type === "radio";
  // Beside forms, a choice acts at once.
  return chosen ? field.closest("dialog, form, fieldset") !== null : field.value !== "";
}

export const isUnsaved = (): boolean => [...document.querySelectorAll("main input, main textarea, main select, dialog input, dialog textarea, dialog select")].some(holds);
