// What leaves as JSON.
import { ImError } from "./errors.ts";

/** JSON.stringify writes half of a pair, and nothing else, as an escape of this range. */
const loneSurrogate = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/;

/**
 * The gateway refuses a text with half of a surrogate pair (an emoji that was cut) as malformed, without a word of which frame it was.
 * @throws ImError invalid_argument for what JSON can not carry
 */
export function toJson(value: object): string {
  let text: string;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new ImError("invalid_argument", "NO_JSON", "the request is no JSON", { cause });
  }
  if (loneSurrogate.test(text)) {
    throw new ImError("invalid_argument", "INVALID_TEXT", "a text has half of a surrogate pair");
  }
  return text;
}
