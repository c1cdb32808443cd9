// Percent-encoding of paths and queries, both ways. What is not valid UTF-8 or not valid encoding is refused, never guessed.
import { Code } from "@connectrpc/connect";
import { failure, invalidFields } from "../errors.ts";

/** What may stand in a path or query as it is: RFC 3986 has printable ASCII only, and no space. */
const RAW = /^[\x21-\x7e]*$/;

/** @throws ConnectError invalid_argument when a path and query have what can only stand there encoded */
export function refuseRawText(target: string): void {
  if (!RAW.test(target)) {
    throw invalidFields({ field: "", description: "the path and query must be percent-encoded" });
  }
}

/** Decodes all of a segment: `%2F` becomes part of the value. */
export function decodePathSegment(raw: string): string {
  return raw.includes("%") ? decode(raw, "the path") : raw;
}

/** Decodes what a variable over several segments captured; an encoded slash stays encoded, or it would look like a separator. */
export function decodePathSegments(raw: string): string {
  return raw.includes("%") ? mapOutsideSlashes(raw, (part) => decode(part, "the path")) : raw;
}

/** Decodes a key or value of a query; `+` is a space. */
export function decodeQuery(raw: string): string {
  const spaced = raw.includes("+") ? raw.replaceAll("+", " ") : raw;
  return spaced.includes("%") ? decode(spaced, "the query") : spaced;
}

/** Encodes everything but the unreserved characters of RFC 3986. @throws ConnectError invalid_argument on a lone surrogate */
export function encodePercent(text: string): string {
  if (!text.isWellFormed()) {
    throw failure(Code.InvalidArgument, "NOT_EXPRESSIBLE", "a text with a lone surrogate can not be sent");
  }
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Encodes one segment of a variable over several: an encoded slash stays as it is, so that decoding gives it back. */
export function encodePathPart(text: string): string {
  return mapOutsideSlashes(text, encodePercent);
}

/** Undefined on bad encoding. */
export function percentDecoded(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

function mapOutsideSlashes(text: string, map: (part: string) => string): string {
  return text
    .split(/(%2f)/i)
    .map((part, index) => (index % 2 === 1 ? part : map(part)))
    .join("");
}

function decode(raw: string, where: string): string {
  const text = percentDecoded(raw);
  if (text === undefined) {
    throw invalidFields({ field: "", description: `${where} has bad percent-encoding` });
  }
  return text;
}
