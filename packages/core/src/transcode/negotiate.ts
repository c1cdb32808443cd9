// What a request sends and what it takes in return, by its headers.
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { type JsonTree, parseJson } from "../json/text.ts";

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json$/;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The one of `offered` that Accept prefers (RFC 9110 §12.5.1: the most specific range counts, then q); the first of those that are equal.
 * @throws ConnectError invalid_argument NOT_ACCEPTABLE when Accept excludes all of them
 */
export function acceptedType<T extends string>(accept: string | null, offered: readonly [T, ...T[]]): T {
  if (accept === null || accept.trim() === "") {
    return offered[0];
  }
  const ranges = accept.split(",").map(parseRange);
  let best: { readonly type: T; readonly quality: number } | undefined;
  for (const type of offered) {
    const quality = qualityOf(type, ranges);
    if (quality > (best?.quality ?? 0)) {
      best = { type, quality };
    }
  }
  if (best === undefined) {
    throw failure(
      Code.InvalidArgument,
      "NOT_ACCEPTABLE",
      `the answer is ${offered.join(" or ")}, which Accept excludes`,
    );
  }
  return best.type;
}

interface Range {
  readonly type: string;
  readonly quality: number;
}

function parseRange(text: string): Range {
  const [type = "", ...parameters] = text.split(";");
  const q = parameters.map((parameter) => /^\s*q\s*=\s*([\d.]+)\s*$/i.exec(parameter)?.[1]).find(Boolean);
  return { type: type.trim().toLowerCase(), quality: q === undefined ? 1 : Number(q) };
}

function qualityOf(type: string, ranges: readonly Range[]): number {
  const levels = [
    // What is JSON with a name of its own takes JSON as well.
    (range: Range) => range.type === type || (type === "application/json" && JSON_TYPE.test(range.type)),
    (range: Range) => range.type === `${type.split("/")[0]}/*`,
    (range: Range) => range.type === "*/*",
  ];
  for (const matches of levels) {
    const found = ranges.filter(matches);
    if (found.length > 0) {
      return Math.max(...found.map(({ quality }) => quality || 0));
    }
  }
  return 0;
}

/**
 * The body as JSON; undefined where it is empty.
 * @throws ConnectError invalid_argument UNSUPPORTED_MEDIA_TYPE or MALFORMED_JSON
 */
export function readBody(bytes: Uint8Array | null | undefined, headers: Headers): JsonTree | undefined {
  if (bytes === null || bytes === undefined || bytes.length === 0) {
    return undefined;
  }
  const contentType = headers.get("content-type");
  const packed = !/^(?:identity)?$/i.test(headers.get("content-encoding") ?? "");
  if (packed || (contentType !== null && contentType !== "application/json" && !isJsonInUtf8(contentType))) {
    const message = "the body must be application/json in UTF-8, not compressed";
    throw failure(Code.InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message);
  }
  return parseJson(decode(bytes));
}

function isJsonInUtf8(contentType: string): boolean {
  const [type = "", ...parameters] = contentType.toLowerCase().split(";");
  const charset = parameters.map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)/.exec(parameter)?.[1]).find(Boolean);
  return JSON_TYPE.test(type.trim()) && /^utf-?8$/.test(charset ?? "utf-8");
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw failure(Code.InvalidArgument, "MALFORMED_JSON", "the body is not UTF-8", { cause });
  }
}
