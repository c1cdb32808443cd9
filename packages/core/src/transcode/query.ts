// The query of a request: which fields its keys name, and which of them it may not give.
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type FieldViolation, failure } from "../errors.ts";
import { fieldsByName } from "../json/names.ts";
import { isJsonObject, type JsonObjectTree, type JsonTree, maxJsonDepth } from "../json/text.ts";
import { decodeQuery } from "./percent.ts";
import type { Route } from "./routes.ts";

/** More of them are refused. */
export const maxQueryParameters = 1000;

/**
 * @param allowed keys that are passed over where they are no field
 * @param set binds the decoded values of one key; @returns what is wrong with them, or undefined
 * @throws ConnectError invalid_argument on bad percent-encoding, or too many parameters
 */
export function bindQuery(
  route: Route,
  query: string,
  allowed: ReadonlySet<string>,
  violations: FieldViolation[],
  set: (fields: readonly DescField[], texts: readonly string[]) => string | undefined,
): void {
  const paths = new Set<string>();
  for (const [key, texts] of parseQuery(query)) {
    const fields = resolveKey(route.method.input, key);
    if (fields === undefined) {
      if (!allowed.has(key)) {
        violations.push({ field: key, description: "unknown query parameter" });
      }
      continue;
    }
    const path = fields.map(({ name }) => name).join(".");
    const problem = givenElsewhere(route, path) ?? (paths.has(path) ? "given twice" : set(fields, texts));
    if (problem !== undefined) {
      violations.push({ field: key, description: problem });
    }
    paths.add(path);
  }
}

/** The keys of a query in a tree as a body has them, into what the body gave: for `clientSpelling`. */
export function withQueryKeys(json: JsonTree | undefined, query: string): JsonTree {
  const tree: JsonObjectTree = isJsonObject(json) ? { ...json } : {};
  for (const key of parseQuery(query).keys()) {
    let at: JsonObjectTree = tree;
    for (const name of key.split(".", maxJsonDepth)) {
      const below: JsonTree | undefined = Object.hasOwn(at, name) ? at[name] : undefined;
      const next: JsonObjectTree = isJsonObject(below) ? below : Object.create(null);
      Object.defineProperty(at, name, { value: next, enumerable: true, configurable: true, writable: true });
      at = next;
    }
  }
  return tree;
}

function parseQuery(query: string): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  const parts = query.split("&", maxQueryParameters + 1);
  if (parts.length > maxQueryParameters) {
    const message = `the query has more than ${maxQueryParameters} parameters`;
    throw failure(Code.InvalidArgument, "QUERY_TOO_LONG", message);
  }
  for (const part of parts) {
    if (part === "") {
      continue;
    }
    const equals = part.indexOf("=");
    const key = decodeQuery(equals === -1 ? part : part.slice(0, equals));
    const text = equals === -1 ? "" : decodeQuery(part.slice(equals + 1));
    const texts = values.get(key);
    if (texts === undefined) {
      values.set(key, [text]);
    } else {
      texts.push(text);
    }
  }
  return values;
}

/** The field that a key names, with the messages on the way to it; not below what JSON has as one value. */
function resolveKey(input: DescMessage, key: string): readonly DescField[] | undefined {
  const fields: DescField[] = [];
  let message: DescMessage | undefined = input;
  for (const name of key.split(".", maxJsonDepth + 1)) {
    const field: DescField | undefined = message === undefined ? undefined : fieldsByName(message).get(name);
    if (field === undefined || fields.length === maxJsonDepth) {
      return undefined;
    }
    fields.push(field);
    const nested: boolean = field.fieldKind === "message" && !field.message.typeName.startsWith("google.protobuf.");
    message = nested ? field.message : undefined;
  }
  return fields;
}

/** Equal to, under or over what the path or the body gives. */
function givenElsewhere({ body, variables }: Route, path: string): string | undefined {
  if (body.kind === "all" || (body.kind === "field" && isWithin(path, body.field.name))) {
    return "is given by the body";
  }
  return variables.some(({ name }) => isWithin(path, name) || isWithin(name, path))
    ? "is given by the path"
    : undefined;
}

function isWithin(path: string, outer: string): boolean {
  return path === outer || (path.startsWith(outer) && path[outer.length] === ".");
}
