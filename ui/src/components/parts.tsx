/** Small parts that many screens share. */
import { Tabs as Radix } from "radix-ui";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import { ago, between, exact } from "../format/text";
import { Icon, type IconName } from "./icons";
import { SignedOut } from "./signed-out";

/** Relative time with the exact one on hover. It ticks. */
export function Ago({ time }: { time: string | null | undefined }) {
  // As often as the text may change.
  const text = time ? ago(time) : "";
  useTick(/now|s ago/.test(text) ? 1_000 : 10_000);
  if (!time) return <span className="quiet">–</span>;
  return (
    <time dateTime={time} title={exact(time)} className="nowrap">
      {text}
    </time>
  );
}

/** The time from one moment to another; ticks while it is open. */
export function Lasted({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  useTick(from && !to ? 1000 : null);
  return (
    <span className="nowrap" title={from ? exact(from) : undefined}>
      {between(from, to)}
    </span>
  );
}

/** Renders the caller again every `ms` while the page is visible. */
export function useTick(ms: number | null) {
  const [, set] = useState(0);
  useEffect(() => {
    if (ms === null) return;
    const timer = setInterval(() => document.hidden || set((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/** Puts text on the clipboard; the icon becomes a tick for a moment. */
export function Copy({ text, what = "Copy", label }: { text: string; what?: string; label?: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button
      type="button"
      className={label ? "button" : "copy"}
      aria-label={what}
      title={what}
      onClick={(event) => {
        event.stopPropagation();
        void copyText(text).then(() => setDone(true));
      }}
    >
      <Icon name={done ? "check" : "copy"} />
      {label && <span>{done ? "Copied" : label}</span>}
      <span className="hidden-text" role="status">
        {done ? "Copied" : ""}
      </span>
    </button>
  );
}

/** The clipboard needs a secure context; a server on plain http gets the old way. */
export async function copyText(text: string) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A command to type, with a button that copies it. */
export function Command({ text, what = "Copy command" }: { text: string; what?: string }) {
  return (
    <div className="command">
      <pre>{text}</pre>
      <Copy text={text} what={what} label="Copy" />
    </div>
  );
}

/** An id: short, monospace, copied whole. */
export function Id({ id, length = 8 }: { id: string; length?: number }) {
  return (
    <span className="nowrap">
      <code title={id}>{id.length > length + 2 ? `${id.slice(0, length - 3)}…${id.slice(-3)}` : id}</code>
      <Copy text={id} what="Copy id" />
    </span>
  );
}

export function IconButton({ icon, name, onClick, pressed, expanded }: { icon: IconName; name: string; onClick: () => void; pressed?: boolean; expanded?: boolean }) {
  return (
    <button
      type="button"
      className="button bare icon"
      aria-label={name}
      title={name}
      onClick={onClick}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
      {...(expanded === undefined ? {} : { "aria-expanded": expanded })}
    >
      <Icon name={icon} />
    </button>
  );
}

/** A labelled control; its error is its description. `children` gets the attributes that tie them together. */
export function Field({ label, note, error, mark, children }: {
  label: string;
  note?: ReactNode;
  error?: string | null | undefined;
  mark?: ReactNode;
  children: (tie: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
}) {
  const id = useId();
  const described = [error ? `${id}-error` : "", note ? `${id}-note` : ""].filter(Boolean).join(" ");
  return (
    <div className="field">
      <span className="row">
        <label htmlFor={id} style={{ fontWeight: 550 }}>
          {label}
        </label>
        {mark}
      </span>
      {children({ id, ...(described ? { "aria-describedby": described } : {}), ...(error ? { "aria-invalid": true as const } : {}) })}
      {error && (
        <span className="error" id={`${id}-error`}>
          {error}
        </span>
      )}
      {note && (
        <span className="note" id={`${id}-note`}>
          {note}
        </span>
      )}
    </div>
  );
}

export interface Tab {
  key: string;
  name: string;
  count?: number | undefined;
  body: () => ReactNode;
}

/** Tabs whose choice the caller keeps, in the URL as a rule. Only the open one is drawn. */
export function Tabs({ tabs, open, onOpen, name }: { tabs: Tab[]; open: string; onOpen: (key: string) => void; name: string }) {
  const known = tabs.some((tab) => tab.key === open) ? open : tabs[0]?.key ?? "";
  return (
    <Radix.Root value={known} onValueChange={onOpen} activationMode="manual" style={{ display: "flex", flexDirection: "column", flex: 1, minHeight: 0 }}>
      <Radix.List className="tabs" aria-label={name}>
        {tabs.map((tab) => (
          <Radix.Trigger key={tab.key} value={tab.key}>
            {tab.name}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {tabs.map((tab) => (
        <Radix.Content key={tab.key} value={tab.key} className="tab-panel">
          {tab.key === known && tab.body()}
        </Radix.Content>
      ))}
    </Radix.Root>
  );
}

/** A native dialog: modal, focus inside, Esc closes. As a drawer it covers the right side. */
export function Dialog({ title, onClose, children, foot, kind, head, name, className = "", onKeyDown }: {
  title: ReactNode;
  name: string;
  onClose: () => void;
  children: ReactNode;
  foot?: ReactNode;
  head?: ReactNode;
  kind?: "drawer";
  className?: string;
  /** Keys that the dialog takes wherever the focus is in it. */
  onKeyDown?: (event: KeyboardEvent) => void;
}) {
  const box = useRef<HTMLDialogElement>(null);
  // It is closed while it is still in the page: only then does the browser give the focus back to what had it.
  useLayoutEffect(() => {
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal?.();
    return () => dialog?.close?.();
  }, []);
  return (
    // A click on the backdrop is a click on the dialog itself; Esc does the same for the keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <dialog
      ref={box}
      className={`${kind ?? ""} ${className}`}
      aria-label={name}
      onCancel={(event) => {
        // React hands the event of a dialog over this one on to this one.
        if (event.target !== box.current) return;
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === box.current && onClose()}
      onKeyDown={onKeyDown}
    >
      <div className="dialog-head">
        <h2>{title}</h2>
        {head}
        <IconButton icon="close" name="Close" onClick={onClose} />
      </div>
      <div className="dialog-body">
        <SignedOut />
        {children}
      </div>
      {foot && <div className="dialog-foot">{foot}</div>}
    </dialog>
  );
}

/** Says what a destructive action will hit before it does. */
export function Confirm({ title, action, onYes, onClose, children, typed }: {
  title: string;
  action: string;
  onYes: () => void;
  onClose: () => void;
  children: ReactNode;
  /** A name to type first, for what cannot be undone. */
  typed?: string;
}) {
  const [text, setText] = useState("");
  return (
    <Dialog
      title={title}
      name={title}
      onClose={onClose}
      foot={
        <>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="button" className="button danger" disabled={typed !== undefined && text !== typed} onClick={() => { onYes(); onClose(); }}>
            {action}
          </button>
        </>
      }
    >
      {children}
      {typed !== undefined && (
        <Field label={`Type ${typed} to confirm`}>{(tie) => <input {...tie} className="input" value={text} onChange={(e) => setText(e.target.value)} />}</Field>
      )}
    </Dialog>
  );
}
