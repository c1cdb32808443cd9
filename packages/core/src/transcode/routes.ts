// Routes from descriptors: every google.api.http rule of every method, its field paths resolved once, at start.
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type HttpRule, http } from "@im-gateway/proto";
import { failure } from "../errors.ts";
import { methodOptions } from "../method-options.ts";
import { type PathVariable, parseTemplate, type Template } from "./template.ts";

/** What a route can call: one request, and one answer or a stream of them. */
export type RouteMethod = DescMethodUnary | DescMethodServerStreaming;

export interface BoundVariable extends PathVariable {
  /** `fieldPath` with dots. */
  readonly name: string;
  /** The fields that `fieldPath` names, from the request message down. */
  readonly fields: readonly DescField[];
}

export type RequestBody =
  | { readonly kind: "none" }
  /** The body is the request, but for what path and query bind. */
  | { readonly kind: "all" }
  | { readonly kind: "field"; readonly field: DescField };

export interface Route {
  /** `*` is any. */
  readonly httpMethod: string;
  readonly path: string;
  readonly template: Template;
  readonly method: RouteMethod;
  readonly variables: readonly BoundVariable[];
  readonly body: RequestBody;
  /** The one field of the answer that is the response body; absent: all of it. */
  readonly responseField: DescField | undefined;
  readonly successStatus: number;
}

type Refuse = (reason: string) => ConnectError;

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** @throws ConnectError internal when a rule does not fit its method: the contract is wrong, nothing can start */
export function buildRoutes(services: readonly DescService[]): readonly Route[] {
  return services.flatMap((service) =>
    service.methods.flatMap((method) => {
      if (!hasOption(method, http)) {
        return [];
      }
      const rule = getOption(method, http);
      return [
        buildRoute(method, rule),
        ...rule.additionalBindings.map((binding) => {
          if (binding.additionalBindings.length > 0) {
            throw refuseMethod(method, ruleText(binding))("additional_bindings can not have additional_bindings");
          }
          return buildRoute(method, binding);
        }),
      ];
    }),
  );
}

export function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** One request, and one answer or a stream of them. */
export function isRouteMethod(method: DescMethod): method is RouteMethod {
  return method.methodKind === "unary" || method.methodKind === "server_streaming";
}

/** File, method and rule, as errors name them. */
export function describeRoute({ method, httpMethod, path }: Route): string {
  return `${describeMethod(method)}: ${httpMethod} ${path}`;
}

function describeMethod(method: DescMethod): string {
  return `${method.parent.file.name}.proto: ${method.parent.typeName}.${method.name}`;
}

function refuseMethod(method: DescMethod, rule: string): Refuse {
  return (reason) => failure(Code.Internal, "BAD_HTTP_RULE", `${describeMethod(method)}: ${rule}: ${reason}`);
}

function ruleText({ pattern }: HttpRule): string {
  switch (pattern.case) {
    case undefined:
      return "google.api.http";
    case "custom":
      return `${pattern.value.kind} ${pattern.value.path}`;
    default:
      return `${pattern.case.toUpperCase()} ${pattern.value}`;
  }
}

function buildRoute(method: DescMethod, rule: HttpRule): Route {
  const refuse = refuseMethod(method, ruleText(rule));
  const { pattern } = rule;
  if (pattern.case === undefined) {
    throw refuse("the rule has no path");
  }
  if (!isRouteMethod(method)) {
    throw refuse("a method that takes a stream can not be called over HTTP");
  }
  const [httpMethod, path] =
    pattern.case === "custom" ? [pattern.value.kind, pattern.value.path] : [pattern.case.toUpperCase(), pattern.value];
  if (!TOKEN.test(httpMethod)) {
    throw refuse("the kind of a custom rule is an HTTP method, or *");
  }
  const { input, output } = method;
  const template = templateOf(path, refuse);
  const variables = template.variables.map((variable) => {
    const fields = resolveVariable(input, variable.fieldPath, refuse);
    return { ...variable, name: variable.fieldPath.join("."), fields };
  });
  refuseOneofs(variables, refuse);
  const body = resolveBody(input, rule.body, refuse);
  if (body.kind === "field" && variables.some(({ name }) => name === body.field.name)) {
    throw refuse(`${body.field.name} is both the body and a path variable`);
  }
  const responseField =
    rule.responseBody === "" ? undefined : topField(output, rule.responseBody, "response_body", refuse);
  refuseErrorField(method, responseField, refuse);
  return {
    httpMethod,
    path,
    template,
    method,
    variables,
    body,
    responseField,
    successStatus: successStatusOf(method, refuse),
  };
}

function templateOf(path: string, refuse: Refuse): Template {
  try {
    return parseTemplate(path);
  } catch (thrown) {
    throw thrown instanceof ConnectError ? refuse(thrown.rawMessage) : thrown;
  }
}

function successStatusOf(method: RouteMethod, refuse: Refuse): number {
  const { successStatus } = methodOptions(method);
  if (successStatus < 200 || successStatus > 299) {
    throw refuse(`success_status ${successStatus} is no status of success`);
  }
  return successStatus;
}

function resolveVariable(input: DescMessage, fieldPath: readonly string[], refuse: Refuse): readonly DescField[] {
  const fields: DescField[] = [];
  let message: DescMessage | undefined = input;
  for (const name of fieldPath) {
    const field: DescField | undefined = message?.fields.find((candidate) => candidate.name === name);
    if (field === undefined) {
      throw refuse(`${input.typeName} has no field ${fieldPath.join(".")}`);
    }
    fields.push(field);
    message = field.fieldKind === "message" ? field.message : undefined;
  }
  const kind = fields.at(-1)?.fieldKind;
  if (kind !== "scalar" && kind !== "enum") {
    throw refuse(`path variable ${fieldPath.join(".")} is not a single value`);
  }
  return fields;
}

/** Every request would set the oneof twice. */
function refuseOneofs(variables: readonly BoundVariable[], refuse: Refuse): void {
  const taken = new Map<string, DescField>();
  for (const { fields } of variables) {
    let path = "";
    for (const field of fields) {
      if (field.oneof !== undefined) {
        const oneof = `${path}${field.oneof.name}`;
        if ((taken.get(oneof) ?? field) !== field) {
          throw refuse(`two path variables are of the oneof ${oneof}`);
        }
        taken.set(oneof, field);
      }
      path += `${field.name}.`;
    }
  }
}

function resolveBody(input: DescMessage, body: string, refuse: Refuse): RequestBody {
  if (body === "") {
    return { kind: "none" };
  }
  return body === "*" ? { kind: "all" } : { kind: "field", field: topField(input, body, "body", refuse) };
}

function topField(message: DescMessage, name: string, what: string, refuse: Refuse): DescField {
  const field = message.fields.find((candidate) => candidate.name === name);
  if (field === undefined) {
    throw refuse(`${what}: ${message.typeName} has no field ${name}`);
  }
  return field;
}

/** A line `{"error": …}` of a stream is its failure (docs/adr/0007-streams.md). */
function refuseErrorField({ methodKind, output }: RouteMethod, shown: DescField | undefined, refuse: Refuse): void {
  const message = shown === undefined ? output : shown.message;
  if (methodKind === "server_streaming" && message?.fields.some(({ name }) => name === "error")) {
    throw refuse(`${message.typeName} has a field error, which in a stream is the failure`);
  }
}
