// Path, query and body → request message.
import type { DescField, Message, Registry } from "@bufbuild/protobuf";
import type { ReflectMessage } from "@bufbuild/protobuf/reflect";
import { type FieldViolation, invalidFields, maxViolations } from "../errors.ts";
import { namedFields } from "../json/names.ts";
import { readInto, unchecked } from "../json/read.ts";
import { readText } from "../json/scalars.ts";
import { isJsonObject, type JsonTree } from "../json/text.ts";
import { decodePathSegment, decodePathSegments } from "./percent.ts";
import { bindQuery } from "./query.ts";
import type { BoundVariable, Route } from "./routes.ts";

export interface BoundRequest {
  readonly message: Message;
  /** The proto names of the top-level fields that path, query or body set, also to a zero value. */
  readonly named: ReadonlySet<string>;
}

/**
 * @param segments the raw path segments that the route's template matched
 * @param query the raw query, without its `?`
 * @param body the parsed body; undefined where there is none
 * @param allowedQueryKeys query keys that are no field of the request and are passed over
 * @param types what an Any of the body can hold
 * @throws ConnectError invalid_argument, a violation for each field that does not fit
 */
export function bindRequest(
  route: Route,
  segments: readonly string[],
  query: string,
  body: JsonTree | undefined,
  allowedQueryKeys: ReadonlySet<string>,
  types?: Registry,
): BoundRequest {
  const { input } = route.method;
  const json = bodyFields(route, body);
  refuseBound(route, json);
  const target = unchecked(input);
  if (json !== undefined) {
    readInto(target, json, "refuse", types);
  }
  const named = json === undefined ? new Set<string>() : namedFields(input, json);
  const violations: FieldViolation[] = [];
  for (const variable of route.variables) {
    const problem = setText(target, variable.fields, [captured(variable, segments)]);
    if (problem !== undefined) {
      violations.push({ field: variable.name, description: problem });
    }
    named.add(variable.fields[0]?.name ?? "");
  }
  if (query !== "") {
    bindQuery(route, query, allowedQueryKeys, violations, (fields, texts) => {
      named.add(fields[0]?.name ?? "");
      return setText(target, fields, texts);
    });
  }
  if (violations.length > 0) {
    throw invalidFields(...violations.slice(0, maxViolations));
  }
  return { message: target.message, named };
}

/** What the body gives, as JSON of the whole request. */
export function bodyFields(route: Route, body: JsonTree | undefined): JsonTree | undefined {
  switch (route.body.kind) {
    case "none":
      if (body !== undefined) {
        throw invalidFields({ field: "", description: "this request takes no body" });
      }
      return undefined;
    case "field":
      return body === undefined ? undefined : { [route.body.field.name]: body };
    case "all":
      return body;
  }
}

function captured({ start, end, multi }: BoundVariable, segments: readonly string[]): string {
  return multi ? decodePathSegments(segments.slice(start, end).join("/")) : decodePathSegment(segments[start] ?? "");
}

function refuseBound({ variables }: Route, json: JsonTree | undefined): void {
  if (!isJsonObject(json)) {
    return;
  }
  const violations: FieldViolation[] = [];
  for (const { fields } of variables) {
    const field = writtenPath(fields, json);
    if (field !== undefined) {
      violations.push({ field, description: "is given by the path" });
    }
  }
  if (violations.length > 0) {
    throw invalidFields(...violations);
  }
}

/** The path of a field as `json` has it; undefined where it is absent. */
function writtenPath(fields: readonly DescField[], json: JsonTree): string | undefined {
  let tree: JsonTree | undefined = json;
  let path = "";
  for (const { name, jsonName } of fields) {
    if (!isJsonObject(tree)) {
      return undefined;
    }
    const key: string = Object.hasOwn(tree, name) ? name : jsonName;
    tree = Object.hasOwn(tree, key) ? tree[key] : undefined;
    if (tree === undefined || tree === null) {
      return undefined;
    }
    path = path === "" ? key : `${path}.${key}`;
  }
  return path;
}

/** Sets the last of `fields`, making the messages on the way to it. @returns what is wrong, or undefined */
function setText(
  target: ReflectMessage,
  fields: readonly DescField[],
  texts: readonly string[],
  depth = 0,
): string | undefined {
  const field = fields[depth];
  if (field === undefined) {
    return "unknown field";
  }
  if (field.oneof !== undefined && (target.oneofCase(field.oneof) ?? field) !== field) {
    return `excludes another field of ${field.oneof.name}`;
  }
  if (depth === fields.length - 1) {
    return readText(target, field, texts);
  }
  if (field.fieldKind !== "message") {
    return "is not a message";
  }
  const nested = target.get(field);
  const problem = setText(nested, fields, texts, depth + 1);
  target.set(field, nested);
  return problem;
}
