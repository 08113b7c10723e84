/** Text as one reads source: each line with its number, which is not copied. */
import { useState } from "react";
import { More } from "../../components/view";

/** Lines that are laid out before one asks for more. */
const FIRST = 3_000;

/** The lines of a text; the end of the last one begins none. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

export function SourceText({ name, text }: { name: string; text: string }) {
  const [most, setMost] = useState(FIRST);
  const lines = linesOf(text);
  const shown = lines.slice(0, most);
  if (lines.length === 0) return <p className="quiet">The file is empty.</p>;
  return (
    <>
      {/* A text scrolls, so the keyboard must reach it. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="source" role="region" aria-label={`Text of ${name}`} tabIndex={0}>
        <pre style={{ "--gutter": `${String(lines.length).length}ch` } as React.CSSProperties}>
          {shown.map((line, index) => (
            <span key={index} className="source-line">
              {line}
              {"\n"}
            </span>
          ))}
        </pre>
      </div>
      <More shown={most} of={lines.length} what="lines" more={shown.length < lines.length ? () => setMost(most + 4 * FIRST) : null} />
    </>
  );
}
