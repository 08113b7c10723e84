/** New rows that wait until one asks for them: over the top of the list, wherever one has scrolled to. */
export function Fresh({ fresh, onShow }: { fresh: number; onShow: () => void }) {
  return (
    <div className="fresh" role="status">
      {fresh > 0 && (
        <button type="button" className="button primary" onClick={onShow}>
          {fresh.toLocaleString("en-US")} new
        </button>
      )}
    </div>
  );
}
