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
const INTEGER = /^-?\d+$/;

/**
 * Parses one JSON text.
 * @throws ConnectError invalid_argument MALFORMED_JSON: a syntax error, nesting over 100, a duplicate key, a lone surrogate, `__proto__`,
 * a number that no double holds (1e400)
 */
export function parseJson(text: string): JsonTree {
  const colons = scan(text);
  const tree = parse(text);
  // A text that is well formed and has no escape holds no lone surrogate.
  const found: Found = {
    keys: 0,
    unsafe: false,
    exact: false,
    checkText: text.includes("\\u") || !text.isWellFormed(),
  };
  inspect(tree, found);
  if (found.keys !== colons) {
    throw malformed("duplicate key in JSON");
  }
  if (!found.unsafe) {
    return tree;
  }
  // Only now, for it takes ten times as long.
  const exact = parse(text, keepDigits);
  inspect(exact, { ...found, exact: true });
  return exact;
}

function parse(text: string, reviver?: typeof keepDigits): JsonTree {
  try {
    return JSON.parse(text, reviver);
  } catch {
    // Not as the cause: its message quotes the text, and what people write is in no log.
    throw malformed("malformed JSON");
  }
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

interface Found {
  keys: number;
  /** A number beyond 2^53: an integer among them has lost digits. */
  unsafe: boolean;
  /** Integers have all their digits: what is infinite now is no integer. */
  readonly exact: boolean;
  readonly checkText: boolean;
}

/** Counts the keys, and refuses values that JSON.parse lets pass. */
function inspect(tree: JsonTree | undefined, found: Found): void {
  switch (typeof tree) {
    case "string":
      if (found.checkText && !tree.isWellFormed()) {
        throw malformed("lone surrogate in JSON");
      }
      return;
    case "number":
      if (tree > Number.MAX_SAFE_INTEGER || tree < -Number.MAX_SAFE_INTEGER) {
        if (found.exact && !Number.isFinite(tree)) {
          throw malformed("number out of range in JSON");
        }
        found.unsafe = true;
      }
      return;
    case "object":
      break;
    default:
      return;
  }
  if (tree === null) {
    return;
  }
  if (Array.isArray(tree)) {
    for (const item of tree) {
      inspect(item, found);
    }
    return;
  }
  // Object.entries takes three times as long on an object of 100,000 keys.
  for (const key of Object.keys(tree)) {
    // Assigned to an object, as maps and structs are, it would be no key but the prototype.
    if (key === "__proto__") {
      throw malformed("__proto__ can not be a key");
    }
    if (found.checkText && !key.isWellFormed()) {
      throw malformed("lone surrogate in JSON");
    }
    found.keys += 1;
    inspect(tree[key], found);
  }
}

/** JSON.parse's reviver with source text access (ES2026): the digits as they were written. */
function keepDigits(_key: string, value: JsonTree, context?: { readonly source?: string }): JsonTree {
  const source = context?.source;
  if (typeof value !== "number" || Number.isSafeInteger(value) || source === undefined) {
    return value;
  }
  if (INTEGER.test(source)) {
    return BigInt(source);
  }
  // 9007199254740993.0 is no double either: it must not pass for the largest integer that is taken.
  return Math.abs(value) === 2 ** 53 && !isExactly(2n ** 53n, source)
    ? BigInt(value) + BigInt(Math.sign(value))
    : value;
}

/** Whether a number with a point or an exponent is this integer, or its negative. */
function isExactly(integer: bigint, source: string): boolean {
  const [, whole = "", fraction = "", exponent = "0"] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "").replace(/0+$/, "");
  const zeros = (whole + fraction).length - (whole + fraction).replace(/0+$/, "").length;
  const power = Number(exponent) - fraction.length + zeros;
  return power >= 0 && power < 17 && BigInt(digits) * 10n ** BigInt(power) === integer;
}

function malformed(message: string): Error {
  return failure(Code.InvalidArgument, "MALFORMED_JSON", message);
}
