/** A text as it is compared and searched: without case, and without the ways Unicode has to write one character. */
export function fold(value: string): string {
  return value.normalize("NFKC").toLowerCase();
}
