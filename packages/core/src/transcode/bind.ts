// Path, query and body → request message.
import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type FieldViolation, invalidFields, maxViolations } from "../errors.ts";
import { readMessage, readText } from "../json/read.ts";
import { isJsonObject, type JsonTree } from "../json/text.ts";
import { decodePathSegment, decodePathSegments, decodeQuery } from "./percent.ts";
import type { BoundVariable, Route } from "./routes.ts";

/**
 * @param segments the raw path segments that the route's template matched
 * @param query the raw query, without its `?`
 * @param body the parsed body; undefined where there is none
 * @throws ConnectError invalid_argument, a violation for each field that does not fit
 */
export function bindRequest(
  route: Route,
  segments: readonly string[],
  query: string,
  body: JsonTree | undefined,
): Message {
  const bound = route.variables.map(({ fieldPath }) => fieldPath.join("."));
  const message = bindBody(route, body, bound);
  const target = reflect(route.method.input, message);
  const violations: FieldViolation[] = [];
  bindQuery(route, target, query, bound, violations);
  for (const variable of route.variables) {
    const problem = setText(target, variable.fields, [captured(variable, segments)]);
    if (problem !== undefined) {
      violations.push({ field: variable.fieldPath.join("."), description: problem });
    }
  }
  if (violations.length > 0) {
    throw invalidFields(...violations.slice(0, maxViolations));
  }
  return message;
}

function captured(variable: BoundVariable, segments: readonly string[]): string {
  const raw = segments.slice(variable.start, variable.end).join("/");
  return variable.multi ? decodePathSegments(raw) : decodePathSegment(raw);
}

function bindBody(route: Route, body: JsonTree | undefined, bound: readonly string[]): Message {
  const { input } = route.method;
  switch (route.body.kind) {
    case "none":
      if (body !== undefined) {
        throw invalidFields({ field: "", description: "this request takes no body" });
      }
      return create(input);
    case "field":
      return body === undefined ? create(input) : readMessage(input, { [route.body.field.name]: body }, "refuse");
    case "all":
      if (body === undefined) {
        return create(input);
      }
      if (isJsonObject(body)) {
        refuseBound(input, Object.keys(body), bound);
      }
      return readMessage(input, body, "refuse");
  }
}

function refuseBound(input: DescMessage, keys: readonly string[], bound: readonly string[]): void {
  const violations = keys
    .filter((key) => bound.includes(input.fields.find(({ jsonName }) => jsonName === key)?.name ?? key))
    .map((field) => ({ field, description: "is given by the path" }));
  if (violations.length > 0) {
    throw invalidFields(...violations);
  }
}

function bindQuery(
  route: Route,
  target: ReflectMessage,
  query: string,
  bound: readonly string[],
  violations: FieldViolation[],
): void {
  const values = new Map<string, string[]>();
  for (const pair of query.split("&").filter((part) => part !== "")) {
    const [key = "", ...value] = pair.split("=");
    const name = decodeQuery(key);
    const texts = values.get(name) ?? [];
    texts.push(decodeQuery(value.join("=")));
    values.set(name, texts);
  }
  const paths = new Set<string>();
  const oneofs = new Set<string>();
  for (const [key, texts] of values) {
    const fields = route.body.kind === "all" ? undefined : resolveQuery(route.method.input, key);
    const leaf = fields?.at(-1);
    if (fields === undefined || leaf === undefined) {
      violations.push({ field: key, description: "unknown query parameter" });
      continue;
    }
    const path = fields.map(({ name }) => name).join(".");
    const overlaps = [...bound, ...(route.body.kind === "field" ? [route.body.field.name] : [])].some(
      (other) => other === path || other.startsWith(`${path}.`) || path.startsWith(`${other}.`),
    );
    const oneof = leaf.oneof && path.slice(0, -leaf.name.length) + leaf.oneof.name;
    if (overlaps) {
      violations.push({ field: key, description: "is given by the path or the body" });
    } else if (paths.has(path)) {
      violations.push({ field: key, description: "given twice" });
    } else if (oneof !== undefined && oneofs.has(oneof)) {
      violations.push({ field: key, description: `excludes another field of ${oneof}` });
    } else {
      const problem = setText(target, fields, texts);
      if (problem !== undefined) {
        violations.push({ field: key, description: problem });
      }
    }
    paths.add(path);
    if (oneof !== undefined) {
      oneofs.add(oneof);
    }
  }
}

function resolveQuery(input: DescMessage, key: string): readonly DescField[] | undefined {
  const fields: DescField[] = [];
  let message: DescMessage | undefined = input;
  for (const name of key.split(".")) {
    const field: DescField | undefined = message?.fields.find(
      (candidate) => candidate.name === name || candidate.jsonName === name,
    );
    if (field === undefined) {
      return undefined;
    }
    fields.push(field);
    message = field.fieldKind === "message" ? field.message : undefined;
  }
  return fields;
}

/** Sets the last of `fields`, making the messages on the way to it. */
function setText(target: ReflectMessage, fields: readonly DescField[], texts: readonly string[]): string | undefined {
  const [field, ...rest] = fields;
  if (field === undefined) {
    return "unknown field";
  }
  if (rest.length === 0) {
    return readText(target, field, texts);
  }
  if (field.fieldKind !== "message") {
    return "is not a message";
  }
  const nested = target.get(field);
  const problem = setText(nested, rest, texts);
  target.set(field, nested);
  return problem;
}
