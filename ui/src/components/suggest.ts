/** What may follow what was typed into a filter: keys while there is no operator, known values after one. Pure. */
export function suggestions(typed: string, keys: string[], values: Record<string, string[]>, most = 8): string[] {
  const found = /^([\w./-]*)\s*(!=|>=|<=|=|:|>|<|~)?\s*(.*)$/.exec(typed);
  if (!found) return [];
  const [, key = "", operator, value = ""] = found;
  if (!operator) {
    if (key === "" || value !== "") return [];
    const wanted = key.toLowerCase();
    const fit = keys.filter((one) => one.toLowerCase().includes(wanted));
    // What begins so, also behind its prefix, comes first.
    const begins = (one: string) => (one.toLowerCase().startsWith(wanted) || one.toLowerCase().replace(/^(config|summary)\./, "").startsWith(wanted) ? 0 : 1);
    return fit.sort((a, b) => begins(a) - begins(b) || a.length - b.length).slice(0, most);
  }
  const known = values[key === "tag" ? "tags" : key] ?? [];
  return known.filter((one) => one.toLowerCase().startsWith(value.toLowerCase())).slice(0, most).map((one) => `${key}${operator}${one}`);
}
