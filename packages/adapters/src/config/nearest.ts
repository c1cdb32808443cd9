// The valid name that somebody most likely meant.

/**
 * The one of `names` that is fewest letters away from `given`, at most a third of its length; else the only one that ends in the same part
 * ("ws_path" → "server.ws_path"); else `undefined`.
 * @param separator between the parts of a name
 */
export function nearest(given: string, names: Iterable<string>, separator: string): string | undefined {
  const candidates = [...names];
  const [best] = candidates
    .map((name) => ({ name, distance: editDistance(given.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(given.length / 3))) return best.name;
  const last = (name: string) => name.split(separator).at(-1);
  const [only, ...others] = candidates.filter((name) => last(name) === last(given));
  return others.length === 0 ? only : undefined;
}

/** Levenshtein: letters added, removed and replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [line, letter] of [...a].entries()) {
    const next = [line + 1];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (letter === b[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
