import { Field } from "../../components/parts";
import { type Template, typedValue } from "./templates";
import type { Json } from "../../api/types";

/** One tile per template variable: its type, bounds, choices and default. */
export function TemplateTiles({ templates, onChange }: { templates: Record<string, Template>; onChange: (next: Record<string, Template>) => void }) {
  const names = Object.keys(templates);
  if (names.length === 0) return null;
  const set = (name: string, change: Partial<Record<keyof Template, unknown>>) => {
    const next: Record<string, unknown> = { ...templates[name], ...change };
    for (const key of Object.keys(next)) if (next[key] === undefined) delete next[key];
    onChange({ ...templates, [name]: next as unknown as Template });
  };
  const number = (text: string) => (text === "" ? undefined : Number(text));
  return (
    <div className="stack" role="group" aria-label="Template variables">
      {names.map((name) => {
        const template = templates[name]!;
        const numeric = template.type !== "string";
        return (
          <fieldset key={name} style={{ border: "1px solid var(--n6)", borderRadius: 6, padding: "8px 12px 12px", margin: 0, display: "grid", gap: 8, gridTemplateColumns: "repeat(auto-fit, minmax(120px, 1fr))" }}>
            <legend>
              <code>{name}</code>
            </legend>
            <Field label="Type">
              {(tie) => (
                <select {...tie} className="select" value={template.type} onChange={(e) => set(name, { type: e.target.value, default: undefined, enum: undefined, minimum: undefined, maximum: undefined })}>
                  <option>string</option>
                  <option>integer</option>
                  <option>number</option>
                </select>
              )}
            </Field>
            <Field label="Default">
              {(tie) => <input {...tie} className="input" defaultValue={template.default === undefined ? "" : String(template.default)} onBlur={(e) => set(name, { default: typedValue(template.type, e.target.value).value })} />}
            </Field>
            <Field label="Choices" note="separated by commas">
              {(tie) => (
                <input
                  {...tie}
                  className="input"
                  defaultValue={(template.enum ?? []).join(", ")}
                  onBlur={(e) => {
                    const values = e.target.value.split(",").map((word) => typedValue(template.type, word.trim()).value).filter((value): value is Json => value !== undefined);
                    set(name, { enum: values.length > 0 ? values : undefined });
                  }}
                />
              )}
            </Field>
            {numeric && (
              <>
                <Field label="Minimum">{(tie) => <input {...tie} className="input" type="number" step="any" defaultValue={template.minimum ?? ""} onBlur={(e) => set(name, { minimum: number(e.target.value) })} />}</Field>
                <Field label="Maximum">{(tie) => <input {...tie} className="input" type="number" step="any" defaultValue={template.maximum ?? ""} onBlur={(e) => set(name, { maximum: number(e.target.value) })} />}</Field>
              </>
            )}
          </fieldset>
        );
      })}
    </div>
  );
}
