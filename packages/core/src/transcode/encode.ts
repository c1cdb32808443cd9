// Request message → method, path and body: the way back of match and bind. `bind` of what this gives is the message again.
import { type DescField, type JsonObject, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { isTextual } from "../json/scalars.ts";
import { hasPresence, writeMessage } from "../json/write.ts";
import { encodePathPart, encodePercent } from "./percent.ts";
import { maxQueryParameters } from "./query.ts";
import { maxPathSegments } from "./route-trie.ts";
import type { BoundVariable, Route } from "./routes.ts";

export interface EncodedRequest {
  /** Of a rule for any method: POST with a body, else GET. */
  readonly method: string;
  /** Path and query, percent-encoded. */
  readonly path: string;
  /** JSON; undefined where there is none. */
  readonly body: string | undefined;
}

/**
 * Knows this route only: a value that makes the path that of another one (`users/me` for `users/{user_id}`) is not refused.
 * @throws ConnectError invalid_argument NOT_EXPRESSIBLE when the route has no request that binds to this message: a path variable that is empty, `.` or `..`
 * or does not fit its pattern, a map or repeated message in the query, an integer beyond 2^53, NaN
 */
export function encodeRequest(route: Route, message: Message): EncodedRequest {
  const reflected = reflect(route.method.input, message);
  const path = encodePath(route, reflected);
  const query: string[] = [];
  if (route.body.kind !== "all") {
    addQuery(route, reflected, "", query);
  }
  if (query.length > maxQueryParameters) {
    throw notExpressible(`it needs more than ${maxQueryParameters} query parameters`);
  }
  const body = encodeBody(route, reflected);
  const any = body === undefined ? "GET" : "POST";
  return {
    method: route.httpMethod === "*" ? any : route.httpMethod,
    path: query.length === 0 ? path : `${path}?${query.join("&")}`,
    body,
  };
}

function encodePath({ template, variables }: Route, message: ReflectMessage): string {
  const parts: string[] = [];
  for (let index = 0; index < template.segments.length; ) {
    const variable = variables.find(({ start }) => start === index);
    if (variable !== undefined) {
      parts.push(...variableParts(variable, template.segments, textOf(variable, message)));
      index = variable.end;
      continue;
    }
    const segment = template.segments[index];
    if (segment?.kind === "literal") {
      parts.push(segment.text);
    } else if (segment?.kind === "single") {
      throw notExpressible("its path has a * outside a variable");
    }
    index += 1;
  }
  if (parts.length > maxPathSegments) {
    throw notExpressible(`its path needs more than ${maxPathSegments} segments`);
  }
  const verb = template.verb === "" ? "" : `:${encodePercent(template.verb)}`;
  return `/${parts.join("/")}${verb}`;
}

function variableParts(
  { name, start, end, multi }: BoundVariable,
  segments: Route["template"]["segments"],
  text: string,
): string[] {
  const pattern = segments.slice(start, end);
  if (!multi) {
    return [checkedPart(name, text, encodePercent)];
  }
  const parts = text === "" ? [] : text.split("/");
  const open = pattern.at(-1)?.kind === "multi";
  const fixed = open ? pattern.slice(0, -1) : pattern;
  const fits =
    (open ? parts.length >= fixed.length : parts.length === fixed.length) &&
    fixed.every(
      (segment, index) =>
        segment.kind !== "literal" || encodePathPart(segment.value) === encodePathPart(parts[index] ?? ""),
    );
  if (!fits) {
    throw notExpressible(`${name} does not fit its path variable`);
  }
  return parts.map((part) => checkedPart(name, part, encodePathPart));
}

function checkedPart(name: string, text: string, encode: (text: string) => string): string {
  if (text === "" || text === "." || text === "..") {
    throw notExpressible(`${name} can not be ${text === "" ? "empty" : text} in a path`);
  }
  return encode(text);
}

/** The value of a path variable; all that binding it would set has to be set. */
function textOf({ name, fields }: BoundVariable, message: ReflectMessage): string {
  let at = message;
  for (const field of fields) {
    if (hasPresence(field) && !at.isSet(field)) {
      throw notExpressible(`${name} is not set`);
    }
    if (field.fieldKind === "message") {
      at = at.get(field);
    } else {
      return valueText(field, at.get(field));
    }
  }
  throw notExpressible(`${name} is no single value`);
}

/** Adds `key=value` for what neither path nor body gives; @returns whether there was any. */
function addQuery(route: Route, message: ReflectMessage, prefix: string, query: string[]): boolean {
  const before = query.length;
  let bound = false;
  for (const field of message.fields) {
    const path = `${prefix}${field.name}`;
    if (route.variables.some(({ name }) => name === path)) {
      bound = true;
    } else if (!(route.body.kind === "field" && route.body.field.name === path) && message.isSet(field)) {
      bound = addField(route, message, field, path, query) || bound;
    }
  }
  return bound || query.length > before;
}

function addField(route: Route, message: ReflectMessage, field: DescField, path: string, query: string[]): boolean {
  const key = encodePercent(path);
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      query.push(`${key}=${encodePercent(valueText(field, message.get(field)))}`);
      return true;
    case "list":
      if (field.listKind === "message") {
        throw notExpressible(`${path}: repeated messages can not be in a query`);
      }
      for (const item of message.get(field)) {
        query.push(`${key}=${encodePercent(valueText(field, item))}`);
      }
      return true;
    case "map":
      throw notExpressible(`${path}: maps can not be in a query`);
    case "message": {
      const nested = message.get(field);
      if (isTextual(field.message)) {
        query.push(`${key}=${encodePercent(wellKnownText(nested))}`);
      } else if (field.message.typeName.startsWith("google.protobuf.")) {
        throw notExpressible(`${path}: ${field.message.typeName} can not be in a query`);
      } else if (!addQuery(route, nested, `${path}.`, query)) {
        // Nothing in it is set, but it is: a zero value says so.
        query.push(zeroParameter(nested, path));
      }
      return true;
    }
  }
}

/** A field of an empty message, given its zero value. */
function zeroParameter({ desc }: ReflectMessage, path: string): string {
  for (const field of desc.fields) {
    if ((field.fieldKind === "scalar" || field.fieldKind === "enum") && !hasPresence(field)) {
      return `${encodePercent(`${path}.${field.name}`)}=${valueText(field, reflect(desc).get(field))}`;
    }
  }
  throw notExpressible(`${path}: an empty ${desc.name} can not be in a query`);
}

function encodeBody(route: Route, message: ReflectMessage): string | undefined {
  if (route.body.kind === "none" || (route.body.kind === "field" && !isWritten(route.body.field, message))) {
    return undefined;
  }
  const json = written(message);
  for (const { fields } of route.variables) {
    remove(json, fields);
  }
  return stringify(route.body.kind === "field" ? (json[route.body.field.name] ?? null) : json);
}

/** Zero values are written, what is absent is not. */
function isWritten(field: DescField, message: ReflectMessage): boolean {
  return !hasPresence(field) || message.isSet(field);
}

function written({ desc, message }: ReflectMessage): JsonObject {
  try {
    return writeMessage(desc, message);
  } catch (thrown) {
    throw thrown instanceof ConnectError ? notExpressible(thrown.rawMessage) : thrown;
  }
}

function remove(json: JsonObject, fields: readonly DescField[]): void {
  const [field, ...rest] = fields;
  const value = field === undefined ? undefined : json[field.name];
  if (field === undefined) {
    return;
  }
  if (rest.length === 0) {
    delete json[field.name];
  } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    remove(value, rest);
  }
}

function stringify(json: JsonValue): string {
  return JSON.stringify(json, (_key, value: unknown) => {
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw notExpressible("JSON has no NaN and no infinity");
    }
    if (typeof value === "string" && !value.isWellFormed()) {
      throw notExpressible("a text with a lone surrogate can not be sent");
    }
    return value;
  });
}

function wellKnownText({ desc, message }: ReflectMessage): string {
  let json: JsonValue;
  try {
    json = toJson(desc, message);
  } catch (cause) {
    throw failure(Code.InvalidArgument, "NOT_EXPRESSIBLE", `a ${desc.name} is out of range`, { cause });
  }
  const text = typeof json === "string" ? json : JSON.stringify(json);
  if (/^(?:U?Int64)Value$/.test(desc.name)) {
    return valueText({}, BigInt(text));
  }
  return text;
}

function valueText(field: { readonly enum?: DescField["enum"] }, value: unknown): string {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
      return String(value);
    case "bigint":
      if (value > 2n ** 53n || value < -(2n ** 53n)) {
        throw notExpressible("an integer is beyond 2^53");
      }
      return value.toString();
    case "number":
      if (!Number.isFinite(value)) {
        throw notExpressible("a query and a path have no NaN and no infinity");
      }
      if (field.enum !== undefined && field.enum.value[value] === undefined) {
        throw notExpressible(`${value} is no ${field.enum.name}`);
      }
      return String(value);
    default:
      if (value instanceof Uint8Array) {
        return base64Encode(value);
      }
      throw failure(Code.Internal, "UNWRITABLE_FIELD", "a message holds a value that its descriptor does not have");
  }
}

function notExpressible(reason: string): ConnectError {
  return failure(Code.InvalidArgument, "NOT_EXPRESSIBLE", `the request can not be written for its route: ${reason}`);
}
