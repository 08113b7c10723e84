/** What stands in the place of a screen that could not be drawn. */
import { useEffect } from "react";
import { useRouteError } from "react-router";
import { Problem, readText } from "../api/client";
import { Failure } from "../components/view";

/** How often one looks whether the server is back, in milliseconds. */
const AGAIN = 2_000;
/** How long after a reload there is no other by itself: a part that fails with the server there fails again. */
const REST = 30_000;
const RELOADED = "lanza.reloaded";

/** Whether a part of the app did not come, in the words of the browsers and of the bundler. */
const isMissingPart = (error: unknown) => error instanceof Error && /dynamically imported module|importing a module script|unable to preload/i.test(error.message);

const mayReload = () => Date.now() - Number(sessionStorage.getItem(RELOADED) ?? 0) > REST;

interface Props {
  error: unknown;
  reload?: () => void;
}

/** A part of the app that did not come is asked for again as soon as the server answers: browsers keep for a page what they
    could not load, so the page is loaded anew. All that it shows is in its address. */
export function BrokenPart({ error, reload = () => location.reload() }: Props) {
  const isMissing = isMissingPart(error);
  useEffect(() => {
    if (!isMissing) return;
    let over = false;
    const look = async () => {
      await readText("/ready");
      if (over || !mayReload()) return;
      over = true;
      sessionStorage.setItem(RELOADED, String(Date.now()));
      reload();
    };
    const timer = setInterval(() => void look().catch(() => undefined), AGAIN);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [isMissing, reload]);
  const shown = isMissing
    ? new Problem(0, { code: "part_missing", message: "This part of the app could not be loaded.", hint: "The server does not answer, or has a newer app by now. It is tried again by itself." })
    : error instanceof Problem
      ? error
      : new Problem(0, { code: "page_error", message: error instanceof Error ? error.message : String(error) });
  return <Failure error={shown} retry={reload} />;
}

/** Within the frame: everything else can still be opened. */
export function BrokenScreen() {
  return (
    <div className="page-body" style={{ paddingTop: 16 }}>
      <BrokenPart error={useRouteError()} />
    </div>
  );
}

/** Where there is no frame. */
export function Broken() {
  return (
    <div className="plain">
      <main className="wide">
        <BrokenPart error={useRouteError()} />
      </main>
    </div>
  );
}
