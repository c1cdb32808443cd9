// Routes from descriptors: every google.api.http rule of every unary method, its field paths resolved once, at start.
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type HttpRule, http, options } from "@im-gateway/proto";
import { failure } from "../errors.ts";
import { type PathVariable, parseTemplate, type Template } from "./template.ts";

export interface BoundVariable extends PathVariable {
  /** The fields that `fieldPath` names, from the request message down. */
  readonly fields: readonly DescField[];
}

export type RequestBody =
  | { readonly kind: "none" }
  /** The body is the request, but for what path and query bind. */
  | { readonly kind: "all" }
  | { readonly kind: "field"; readonly field: DescField };

export interface Route {
  readonly httpMethod: string;
  readonly path: string;
  readonly template: Template;
  readonly method: DescMethodUnary;
  readonly variables: readonly BoundVariable[];
  readonly body: RequestBody;
  /** The one field of the answer that is the response body; absent: all of it. */
  readonly responseField: DescField | undefined;
  readonly successStatus: number;
}

/** @throws ConnectError internal when a rule does not fit its method: the contract is wrong, nothing can start */
export function buildRoutes(services: readonly DescService[]): readonly Route[] {
  return services.flatMap((service) =>
    service.methods.flatMap((method) => {
      if (!isUnary(method) || !hasOption(method, http)) {
        return [];
      }
      const rule = getOption(method, http);
      return [rule, ...rule.additionalBindings].map((binding) => buildRoute(method, binding));
    }),
  );
}

export function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

function buildRoute(method: DescMethodUnary, rule: HttpRule): Route {
  const refuse = (reason: string): ConnectError =>
    failure(
      Code.Internal,
      "BAD_HTTP_RULE",
      `${method.parent.file.name}.proto: ${method.parent.typeName}.${method.name}: ${reason}`,
    );
  const { pattern } = rule;
  if (pattern.case === undefined) {
    throw refuse("its google.api.http rule has no path");
  }
  const [httpMethod, path] =
    pattern.case === "custom" ? [pattern.value.kind, pattern.value.path] : [pattern.case.toUpperCase(), pattern.value];
  const template = parseTemplate(path);
  return {
    httpMethod,
    path,
    template,
    method,
    variables: template.variables.map((variable) => ({
      ...variable,
      fields: resolveVariable(method.input, variable.fieldPath, refuse),
    })),
    body: resolveBody(method.input, rule.body, refuse),
    responseField: rule.responseBody === "" ? undefined : topField(method.output, rule.responseBody, refuse),
    successStatus: getOption(method, options.method).successStatus || 200,
  };
}

function resolveVariable(
  input: DescMessage,
  fieldPath: readonly string[],
  refuse: (reason: string) => ConnectError,
): readonly DescField[] {
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

function resolveBody(input: DescMessage, body: string, refuse: (reason: string) => ConnectError): RequestBody {
  if (body === "") {
    return { kind: "none" };
  }
  return body === "*" ? { kind: "all" } : { kind: "field", field: topField(input, body, refuse) };
}

function topField(message: DescMessage, name: string, refuse: (reason: string) => ConnectError): DescField {
  const field = message.fields.find((candidate) => candidate.name === name);
  if (field === undefined) {
    throw refuse(`${message.typeName} has no field ${name}`);
  }
  return field;
}
