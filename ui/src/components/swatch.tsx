/** The mark of a run's line: its colour, and its dashes where ten colours are not enough. */
export function Swatch({ colour, dash, off = false }: { colour: string; dash: number[]; off?: boolean }) {
  const paint = off ? "var(--n6)" : colour;
  return (
    <svg className="swatch" viewBox="0 0 16 10" width="16" height="10" aria-hidden="true" data-dash={dash.join(" ")}>
      {dash.length === 0 ? <circle cx="8" cy="5" r="5" fill={paint} /> : <line x1="0" y1="5" x2="16" y2="5" stroke={paint} strokeWidth="4" strokeDasharray={dash.join(" ")} />}
    </svg>
  );
}
