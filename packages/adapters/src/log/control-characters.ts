/**
 * Escapes as \uXXXX what moves a terminal, splits a line or turns its direction: C0, C1, DEL, the Unicode line separators and the
 * bidirectional controls. In JSON it means the same.
 */
export function escapeControls(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
