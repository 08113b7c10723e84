/** Whether somebody reads a list: the pointer is over it, the keyboard is in it, or it is scrolled down. Then nothing may jump. */
import { type FocusEvent, useCallback, useEffect, useRef, useState } from "react";

/** Pixels that a list may be scrolled and still count as at its top. */
const TOP = 4;

/** `ref` and `area` belong on the element around the list; areas inside of it and around it may scroll. */
export function useReading() {
  const ref = useRef<HTMLDivElement>(null);
  const [hovered, setHovered] = useState(false);
  const [keyed, setKeyed] = useState(false);
  const [scrolled, setScrolled] = useState(false);
  const areas = useRef(new Set<Element>());

  useEffect(() => {
    const onScroll = (event: Event) => {
      const [area, box] = [event.target, ref.current];
      if (!(area instanceof Element) || !box || !(area.contains(box) || box.contains(area))) return;
      if (area.scrollTop > TOP) areas.current.add(area);
      else areas.current.delete(area);
      // What was taken out of the page scrolls no more.
      for (const known of areas.current) if (!known.isConnected) areas.current.delete(known);
      setScrolled(areas.current.size > 0);
    };
    // Scrolling does not bubble.
    document.addEventListener("scroll", onScroll, { capture: true, passive: true });
    return () => document.removeEventListener("scroll", onScroll, { capture: true });
  }, []);

  const toTop = useCallback(() => areas.current.forEach((area) => (area.scrollTop = 0)), []);
  const area = {
    onPointerEnter: () => setHovered(true),
    onPointerLeave: () => setHovered(false),
    // A click leaves the focus behind, which says nothing; the keyboard's is seen.
    onFocus: (event: FocusEvent) => event.target.matches(":focus-visible") && setKeyed(true),
    onBlur: (event: FocusEvent) => !event.currentTarget.contains(event.relatedTarget as Node | null) && setKeyed(false),
  };
  return { reading: hovered || keyed || scrolled, ref, area, toTop };
}
