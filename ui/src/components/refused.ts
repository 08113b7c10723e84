import { type RefObject, useEffect } from "react";

/** Leads to what was refused of a form, each time that it is: the first field that says why has the keyboard; where none does,
    what is said of the whole form is in sight. */
export function useRefusal(form: RefObject<HTMLElement | null>, refusal: unknown) {
  useEffect(() => {
    if (!refusal) return;
    const field = form.current?.querySelector<HTMLElement>("[aria-invalid]");
    if (field) field.focus();
    else form.current?.querySelector("[role=alert]")?.scrollIntoView?.({ block: "nearest" });
  }, [form, refusal]);
}
