import type { ReactNode } from "react";
import { useReadOnly } from "./scope";

/** What changes something: shown, but not to be used, to who signed in with a key that only reads. */
export function Writable({ children }: { children: ReactNode }) {
  const why = useReadOnly();
  if (why === null) return children;
  return (
    <>
      <p className="quiet">{why} Nothing can be changed here.</p>
      <fieldset disabled title={why} style={{ display: "contents" }}>
        {children}
      </fieldset>
    </>
  );
}
