import { type KeyboardEvent, useId, useRef, useState } from "react";
import { type Chip, chipKey, chipText, chipTyped, parseChip, suggestions } from "./run-filter";

/** Filter chips and the field that makes them. A chip that is clicked goes back into the field. */
export function FilterBar({ chips, onChips, keys, values }: { chips: Chip[]; onChips: (next: Chip[]) => void; keys: string[]; values: Record<string, string[]> }) {
  const [text, setText] = useState("");
  const field = useRef<HTMLInputElement>(null);
  return (
    <>
      {chips.map((chip) => (
        <span key={chipKey(chip)} className="chip">
          <button
            type="button"
            title="Change this filter"
            onClick={() => {
              setText(chipTyped(chip));
              onChips(chips.filter((one) => one !== chip));
              field.current?.focus();
            }}
          >
            {chipText(chip)}
          </button>
          <button type="button" aria-label={`Remove the filter ${chipText(chip)}`} onClick={() => onChips(chips.filter((one) => one !== chip))}>
            ✕
          </button>
        </span>
      ))}
      <FilterField
        field={field}
        text={text}
        onText={setText}
        found={suggestions(text, keys, values)}
        onDone={(typed) => {
          const chip = parseChip(typed);
          if (!chip) return;
          setText("");
          if (!chips.some((one) => chipKey(one) === chipKey(chip))) onChips([...chips, chip]);
        }}
        onBack={() => chips.length > 0 && onChips(chips.slice(0, -1))}
      />
    </>
  );
}

interface FieldProps {
  field: React.RefObject<HTMLInputElement | null>;
  text: string;
  onText: (text: string) => void;
  found: string[];
  onDone: (text: string) => void;
  onBack: () => void;
}

function FilterField({ field, text, onText, found, onDone, onBack }: FieldProps) {
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
      if (open && at >= 0) take(found[at]!);
      else onDone(text);
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
        aria-label="Add filter"
        aria-expanded={open}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={open && at >= 0 ? `${id}-${at}` : undefined}
        autoComplete="off"
        placeholder="+ filter: lr>0.1, state:running"
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
