/** Escapes as \uXXXX what moves a terminal or splits a line: C0, C1, DEL and the Unicode line separators. In JSON it means the same. */
export function escapeControls(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
