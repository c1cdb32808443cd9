// Percent-decoding of paths and queries. What is not valid UTF-8 or not valid encoding is refused, never guessed.
import { invalidFields } from "../errors.ts";

/** Decodes all of a segment: `%2F` becomes part of the value. */
export function decodePathSegment(raw: string): string {
  return decode(raw, "the path");
}

/** Decodes what a variable over several segments captured; an encoded slash stays encoded, or it would look like a separator. */
export function decodePathSegments(raw: string): string {
  return raw
    .split(/(%2f)/i)
    .map((part) => (/^%2f$/i.test(part) ? part : decode(part, "the path")))
    .join("");
}

/** Decodes a key or value of a query; `+` is a space. */
export function decodeQuery(raw: string): string {
  return decode(raw.replaceAll("+", " "), "the query");
}

function decode(raw: string, where: string): string {
  if (!raw.includes("%")) {
    return raw;
  }
  try {
    return decodeURIComponent(raw);
  } catch {
    throw invalidFields({ field: "", description: `${where} has bad percent-encoding` });
  }
}
