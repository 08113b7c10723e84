import { useState } from "react";
import { FilterBar as Bar } from "../../components/filter-bar";
import { suggestions } from "../../components/suggest";
import { type Chip, chipKey, chipText, chipTyped, parseChip } from "./run-filter";

/** The filter of a project's runs, as the public API has it. */
export function FilterBar({ chips, onChips, keys, values }: { chips: Chip[]; onChips: (next: Chip[]) => void; keys: string[]; values: Record<string, string[]> }) {
  const [text, setText] = useState("");
  return (
    <Bar
      chips={chips.map((chip) => ({ id: chipKey(chip), shown: chipText(chip), typed: chipTyped(chip) }))}
      text={text}
      onText={setText}
      found={suggestions(text, keys, values)}
      placeholder="+ filter: lr>0.1, state:running"
      onAdd={(typed) => {
        const chip = parseChip(typed);
        if (!chip) return;
        setText("");
        if (!chips.some((one) => chipKey(one) === chipKey(chip))) onChips([...chips, chip]);
      }}
      onRemove={(id) => onChips(chips.filter((one) => chipKey(one) !== id))}
    />
  );
}
