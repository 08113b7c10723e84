import { Field } from "../../components/parts";
import { readTemplate, type TemplateText } from "./template-text";

/** One tile per template variable: its type, bounds, choices and default. What does not fit is said at once, where it stands;
    `refused` is what the server said of one. */
export function TemplateTiles({ tiles, refused, onChange }: { tiles: Record<string, TemplateText>; refused?: Record<string, string>; onChange: (next: Record<string, TemplateText>) => void }) {
  const names = Object.keys(tiles);
  if (names.length === 0) return null;
  return (
    <div className="stack" role="group" aria-label="Template variables">
      {names.map((name) => {
        const text = tiles[name]!;
        const { errors } = readTemplate(text);
        const set = (change: Partial<TemplateText>) => onChange({ ...tiles, [name]: { ...text, ...change } });
        const bounds = [
          ["minimum", "Minimum"],
          ["maximum", "Maximum"],
        ] as const;
        return (
          <fieldset key={name} style={{ border: "1px solid var(--n6)", borderRadius: 6, padding: "8px 12px 12px", margin: 0, display: "grid", gap: 8, gridTemplateColumns: "repeat(auto-fit, minmax(120px, 1fr))" }}>
            <legend>
              <code>{name}</code>
            </legend>
            <Field label="Type" error={refused?.[name]}>
              {(tie) => (
                <select {...tie} className="select" value={text.type} onChange={(event) => set({ type: event.target.value as TemplateText["type"] })}>
                  <option>string</option>
                  <option>integer</option>
                  <option>number</option>
                </select>
              )}
            </Field>
            <Field label="Default" error={errors.default}>
              {(tie) => <input {...tie} className="input" value={text.default} onChange={(event) => set({ default: event.target.value })} />}
            </Field>
            <Field label="Choices" error={errors.choices} note="separated by commas">
              {(tie) => <input {...tie} className="input" value={text.choices} onChange={(event) => set({ choices: event.target.value })} />}
            </Field>
            {text.type !== "string" &&
              bounds.map(([part, label]) => (
                <Field key={part} label={label} error={errors[part]}>
                  {(tie) => <input {...tie} className="input" type="number" step="any" value={text[part]} onChange={(event) => set({ [part]: event.target.value })} />}
                </Field>
              ))}
          </fieldset>
        );
      })}
    </div>
  );
}
