// Strict JSON text: what CONTRACT §1 refuses everywhere is refused here, once, before anyone looks at a field.
import type { JsonValue } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";

/** A parsed JSON value. Integers beyond 2^53 arrive as bigint, so that an id keeps every digit. */
export type JsonTree = null | boolean | number | bigint | string | JsonTree[] | JsonObjectTree;
export interface JsonObjectTree {
  [key: string]: JsonTree;
}

/** Deepest nesting of arrays and objects. */
export const maxJsonDepth = 100;

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
// A safe integer has at most 16 digits; only a text with a number of so many needs the slow parse. A look at the start of values alone takes a
// third of the time that every digit of every id would.
const LONG_INTEGER = /(?:^|[[:,])\s*-?\d{16}/;
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;
const LONE_SURROGATE = /\p{Surrogate}/u;
const INTEGER = /^-?\d+$/;

/**
 * Parses one JSON text.
 * @throws ConnectError invalid_argument MALFORMED_JSON: a syntax error, nesting over 100, a duplicate key, a lone surrogate, `__proto__`,
 * a number that no double holds (1e400)
 */
export function parseJson(text: string): JsonTree {
  const colons = scan(text);
  let tree: JsonTree;
  try {
    tree = LONG_INTEGER.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
  } catch {
    // Not as the cause: its message quotes the text, and what people write is in no log.
    throw malformed("malformed JSON");
  }
  const checkSurrogates = SURROGATE_ESCAPE.test(text) || LONE_SURROGATE.test(text);
  if (countKeys(tree, checkSurrogates) !== colons) {
    throw malformed("duplicate key in JSON");
  }
  return tree;
}

export function isJsonObject(tree: JsonTree | undefined): tree is JsonObjectTree {
  return typeof tree === "object" && tree !== null && !Array.isArray(tree);
}

/** The same value for those who know no bigint: an integer beyond 2^53 becomes its decimal string. */
export function withoutBigints(tree: JsonTree): JsonValue {
  if (typeof tree === "bigint") {
    return tree.toString();
  }
  if (Array.isArray(tree)) {
    return tree.map(withoutBigints);
  }
  if (isJsonObject(tree)) {
    return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, withoutBigints(value)]));
  }
  return tree;
}

/** Checks the depth and counts the colons outside strings: as many as there are keys. Skips syntax, JSON.parse sees to that. */
function scan(text: string): number {
  let depth = 0;
  let colons = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i);
        break;
      case COLON:
        colons++;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > maxJsonDepth) {
          throw malformed(`JSON nested deeper than ${maxJsonDepth}`);
        }
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
    }
  }
  return colons;
}

/** Index of the quote that ends the string which starts at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) {
      slashes++;
    }
    if (slashes % 2 === 0) {
      return end;
    }
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}

/** Counts the keys, and refuses values that JSON.parse lets pass. */
function countKeys(tree: JsonTree | undefined, checkSurrogates: boolean): number {
  if (typeof tree !== "object" || tree === null) {
    if (checkSurrogates && typeof tree === "string" && LONE_SURROGATE.test(tree)) {
      throw malformed("lone surrogate in JSON");
    }
    if (tree === Number.POSITIVE_INFINITY || tree === Number.NEGATIVE_INFINITY) {
      throw malformed("number out of range in JSON");
    }
    return 0;
  }
  let keys = 0;
  if (Array.isArray(tree)) {
    for (const item of tree) {
      keys += countKeys(item, checkSurrogates);
    }
    return keys;
  }
  // Object.entries takes three times as long on an object of 100,000 keys.
  for (const key of Object.keys(tree)) {
    // Assigned to an object, as maps and structs are, it would be no key but the prototype.
    if (key === "__proto__") {
      throw malformed("__proto__ can not be a key");
    }
    if (checkSurrogates && LONE_SURROGATE.test(key)) {
      throw malformed("lone surrogate in JSON");
    }
    keys += 1 + countKeys(tree[key], checkSurrogates);
  }
  return keys;
}

/** JSON.parse's reviver with source text access (ES2026): the digits as they were written. */
function keepDigits(_key: string, value: JsonTree, context?: { readonly source?: string }): JsonTree {
  const source = context?.source;
  return typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && INTEGER.test(source)
    ? BigInt(source)
    : value;
}

function malformed(message: string): Error {
  return failure(Code.InvalidArgument, "MALFORMED_JSON", message);
}
