/** The drawer of a row, over the list that it was opened from: Esc closes it, ↑ and ↓ go to the neighbours, its title leads to
    the page. What is open is in the address; whoever draws the drawer keeps it there. */
import type { KeyboardEvent, ReactNode } from "react";
import { Link } from "react-router";
import { Dialog, IconButton } from "./parts";

export function RowDrawer({ what, name, title, page, id, ids = [], onShow, foot, wide, children }: {
  /** What a row is: `item`, `run`. */
  what: string;
  /** The accessible name of the drawer. */
  name: string;
  title: ReactNode;
  /** The address of the row's page, to which its title and `Open` lead. */
  page?: string;
  id: string;
  /** The rows of the list, in its order. */
  ids?: string[];
  onShow: (id: string | null) => void;
  foot?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}) {
  const at = ids.indexOf(id);
  const go = (step: number) => {
    const next = ids[at + step];
    if (at >= 0 && next !== undefined) onShow(next);
  };
  const onKey = (event: KeyboardEvent) => {
    // A dialog over this one, as that of a launch, has keys of its own.
    if ((event.target as HTMLElement).closest("dialog") !== event.currentTarget) return;
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target as HTMLElement).closest("input, textarea, select, [role=log], [role=tree], [role=menu]")) return;
    if (event.key === "ArrowDown" || event.key === "j") go(1);
    else if (event.key === "ArrowUp" || event.key === "k") go(-1);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog
      kind="drawer"
      {...(wide ? { className: "wide" } : {})}
      name={name}
      title={page === undefined ? title : <Link to={page}>{title}</Link>}
      onClose={() => onShow(null)}
      onKeyDown={onKey}
      head={
        ids.length > 1 && (
          <span className="row" style={{ gap: 0 }}>
            <IconButton icon="left" name={`Previous ${what}`} onClick={() => go(-1)} />
            <IconButton icon="right" name={`Next ${what}`} onClick={() => go(1)} />
          </span>
        )
      }
      foot={
        foot ??
        (page !== undefined && (
          <Link className="button primary" to={page}>
            Open
          </Link>
        ))
      }
    >
      <div className="stack" style={{ gap: 16 }} key={id}>
        {children}
      </div>
    </Dialog>
  );
}
