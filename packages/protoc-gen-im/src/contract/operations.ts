// The REST routes of the contract: what a client sends where, by the google.api.http rules and our own options.
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  type FileRegistry,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { type HttpRule, http, options } from "@im-gateway/proto";

export interface Operation {
  /** `GroupService_GetGroup`; further bindings of a method end in 2, 3, … */
  readonly id: string;
  readonly service: DescService;
  readonly method: DescMethod;
  readonly verb: "get" | "put" | "post" | "delete" | "patch";
  /** With `{name}` for each variable. */
  readonly path: string;
  readonly pathFields: readonly NamedField[];
  readonly queryFields: readonly NamedField[];
  readonly body: RequestBody | undefined;
  /** The one field of the answer that is the response body; undefined: all of it. */
  readonly responseField: DescField | undefined;
  readonly successStatus: number;
  readonly auth: "public" | "user" | "service";
  /** Public, but who comes with a token is known. */
  readonly tokenIsRead: boolean;
  readonly target: "logic" | "upstream" | "gateway";
  readonly rateClass: "read" | "write" | "login" | "send" | "expensive";
  readonly idempotent: boolean;
  readonly streams: boolean;
}

export interface NamedField {
  /** With dots where it is a field of a field. */
  readonly name: string;
  readonly field: DescField;
}

export type RequestBody =
  | { readonly kind: "message"; readonly message: DescMessage; readonly without: ReadonlySet<string> }
  | { readonly kind: "field"; readonly field: DescField };

/** By file name, then as the files have them. @throws Error naming the method whose rule or options can not be shown */
export function operationsOf(contract: FileRegistry, fits: (service: DescService) => boolean): readonly Operation[] {
  const services = [...contract.files]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((file) => file.services)
    .filter(fits);
  return services.flatMap((service) =>
    service.methods
      .filter((method) => hasOption(method, http))
      .flatMap((method) => {
        const rule = getOption(method, http);
        return [rule, ...rule.additionalBindings].map((binding, index) => operation(service, method, binding, index));
      }),
  );
}

/** Filled from the token: no client sends it. */
export function isIdentity(field: DescField): boolean {
  return getOption(field, options.identity) !== options.Identity.UNSPECIFIED;
}

function operation(service: DescService, method: DescMethod, rule: HttpRule, index: number): Operation {
  const name = `${service.typeName}/${method.name}`;
  const { pattern, body, responseBody } = rule;
  if (pattern.case === undefined || pattern.case === "custom") {
    throw new Error(`${name}: its google.api.http rule needs one of the verbs that OpenAPI knows`);
  }
  const pathFields = [...pattern.value.matchAll(/\{([^}=]+)(?:=[^}]*)?\}/g)].map(([, path = ""]) => ({
    name: path,
    field: fieldAt(method.input, path, name),
  }));
  const bound = new Set(pathFields.map((field) => field.name));
  const { auth, target, successStatus, idempotent, rateClass } = getOption(method, options.method);
  return {
    id: `${service.name}_${method.name}${index === 0 ? "" : index + 1}`,
    service,
    method,
    verb: pattern.case,
    path: pattern.value.replaceAll(/\{([^}=]+)=[^}]*\}/g, "{$1}"),
    pathFields,
    queryFields: body === "*" ? [] : queryFields(method.input, "", new Set([...bound, body])),
    body: bodyOf(method, body, bound, name),
    responseField: responseBody === "" ? undefined : fieldAt(method.output, responseBody, name),
    successStatus: successStatus === 0 ? 200 : successStatus,
    auth: known(auths[auth], `${name}: has no option auth`),
    tokenIsRead: auth === options.Auth.PUBLIC && method.input.fields.some(isIdentity),
    target: known(targets[target], `${name}: has an unknown target`),
    rateClass: rateClasses[rateClass] ?? (pattern.case === "get" ? "read" : "write"),
    idempotent: idempotent || pattern.case === "get",
    streams: method.methodKind === "server_streaming",
  };
}

const auths: Readonly<Record<number, Operation["auth"]>> = {
  [options.Auth.PUBLIC]: "public",
  [options.Auth.USER]: "user",
  [options.Auth.SERVICE]: "service",
};

const targets: Readonly<Record<number, Operation["target"]>> = {
  [options.Target.UNSPECIFIED]: "logic",
  [options.Target.LOGIC]: "logic",
  [options.Target.UPSTREAM]: "upstream",
  [options.Target.GATEWAY]: "gateway",
};

const rateClasses: Readonly<Record<number, Operation["rateClass"]>> = {
  [options.RateClass.READ]: "read",
  [options.RateClass.WRITE]: "write",
  [options.RateClass.LOGIN]: "login",
  [options.RateClass.SEND]: "send",
  [options.RateClass.EXPENSIVE]: "expensive",
};

function known<T>(value: T | undefined, problem: string): T {
  if (value === undefined) {
    throw new Error(problem);
  }
  return value;
}

function bodyOf(method: DescMethod, body: string, bound: ReadonlySet<string>, name: string): RequestBody | undefined {
  if (body === "") {
    return undefined;
  }
  return body === "*"
    ? { kind: "message", message: method.input, without: bound }
    : { kind: "field", field: fieldAt(method.input, body, name) };
}

/** What neither the path nor the body binds: single values and lists of them, of nested messages too. */
function queryFields(message: DescMessage, prefix: string, bound: ReadonlySet<string>): readonly NamedField[] {
  return message.fields
    .filter((field) => !isIdentity(field))
    .map((field) => ({ name: prefix + field.name, field }))
    .filter(({ name }) => !bound.has(name))
    .flatMap(({ name, field }) => {
      if (field.fieldKind === "message") {
        return queryFields(field.message, `${name}.`, bound);
      }
      return field.fieldKind === "map" || field.message !== undefined ? [] : [{ name, field }];
    });
}

function fieldAt(message: DescMessage, path: string, method: string): DescField {
  const [name, ...rest] = path.split(".");
  const field = known(
    message.fields.find((candidate) => candidate.name === name),
    `${method}: ${message.typeName} has no field ${path}`,
  );
  if (rest.length === 0) {
    return field;
  }
  return fieldAt(known(field.message, `${method}: ${path} is not in a message`), rest.join("."), method);
}
