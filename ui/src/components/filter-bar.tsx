/** Filter chips and the field that makes them. A chip that is clicked goes back into the field. */
import { type KeyboardEvent, useId, useRef, useState } from "react";

export interface BarChip {
  id: string;
  shown: string;
  /** As one would type it. */
  typed: string;
}

export function FilterBar({ chips, text, onText, onAdd, onRemove, found, label = "Add filter", placeholder }: {
  chips: BarChip[];
  text: string;
  onText: (text: string) => void;
  /** What was typed is to be a chip. */
  onAdd: (typed: string) => void;
  onRemove: (id: string) => void;
  found: string[];
  label?: string;
  placeholder: string;
}) {
  const field = useRef<HTMLInputElement>(null);
  return (
    <>
      {chips.map((chip) => (
        <span key={chip.id} className="chip">
          <button
            type="button"
            title="Change this filter"
            onClick={() => {
              onText(chip.typed);
              onRemove(chip.id);
              field.current?.focus();
            }}
          >
            {chip.shown}
          </button>
          <button type="button" aria-label={`Remove the filter ${chip.shown}`} onClick={() => onRemove(chip.id)}>
            ✕
          </button>
        </span>
      ))}
      <FilterField field={field} text={text} onText={onText} found={found} label={label} placeholder={placeholder} onDone={onAdd} onBack={() => chips.length > 0 && onRemove(chips.at(-1)!.id)} />
    </>
  );
}

interface FieldProps {
  field: React.RefObject<HTMLInputElement | null>;
  text: string;
  onText: (text: string) => void;
  found: string[];
  label: string;
  placeholder: string;
  onDone: (text: string) => void;
  onBack: () => void;
}

function FilterField({ field, text, onText, found, label, placeholder, onDone, onBack }: FieldProps) {
  const id = useId();
  const [at, setAt] = useState(-1);
  const [shown, setShown] = useState(false);
  const open = shown && found.length > 0;
  const take = (choice: string) => {
    setAt(-1);
    // A key still wants its operator; a value is the end.
    if (/[=:<>~]/.test(choice)) onDone(choice);
    else onText(choice);
    field.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" && open) setAt((at + 1) % found.length);
    else if (event.key === "ArrowUp" && open) setAt((at + found.length) % (found.length + 1) === found.length ? -1 : at - 1);
    else if (event.key === "Tab" && open && at >= 0) take(found[at]!);
    else if (event.key === "Enter") {
      // The begin of a value that is known is that value; a click outside or Esc leaves what was typed.
      const begun = open && /[=:]/.test(text) && !found.includes(text) ? found.find((one) => one.toLowerCase().startsWith(text.toLowerCase())) : undefined;
      if (open && at >= 0) take(found[at]!);
      else onDone(begun ?? text);
    } else if (event.key === "Escape" && open) setShown(false);
    else if (event.key === "Backspace" && text === "") onBack();
    else return;
    event.preventDefault();
  };
  return (
    <span style={{ position: "relative" }}>
      <input
        ref={field}
        className="input"
        style={{ width: 240 }}
        data-filter
        role="combobox"
        aria-label={label}
        aria-expanded={open}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={open && at >= 0 ? `${id}-${at}` : undefined}
        autoComplete="off"
        placeholder={placeholder}
        value={text}
        onChange={(event) => {
          onText(event.target.value);
          setAt(-1);
          setShown(true);
        }}
        onBlur={() => setShown(false)}
        onKeyDown={onKey}
      />
      <ul id={`${id}-list`} role="listbox" aria-label="Suggestions" className="menu under" hidden={!open}>
        {open &&
          found.map((choice, index) => (
            // The field keeps the focus and handles the keys.
            // eslint-disable-next-line jsx-a11y/click-events-have-key-events
            <li key={choice} id={`${id}-${index}`} role="option" aria-selected={index === at} onMouseDown={(event) => event.preventDefault()} onClick={() => take(choice)}>
              {choice}
            </li>
          ))}
      </ul>
    </span>
  );
}
