// Every route of the contract with every field of its request wrong, by the descriptors: so that a new route is in the table by itself.
import { type DescField, type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import {
  AuthService,
  ConversationService,
  FriendService,
  GroupService,
  http,
  MessageService,
  options,
  UserService,
} from "@im-gateway/proto";
import type { WireRequest } from "../../exchange.ts";
import { badFields, badText, type FieldJson, fieldsJson, goodFields } from "./fields.ts";

export interface BadCall {
  readonly request: WireRequest;
  /** Its template. */
  readonly route: string;
  /** What the violation has to name. */
  readonly field: string;
}

const services = [AuthService, UserService, ConversationService, MessageService, GroupService, FriendService];

export function badCalls(): readonly (readonly [name: string, call: BadCall])[] {
  return (
    services
      .flatMap((service) => service.methods)
      // Streams have no REST route yet.
      .filter(({ methodKind }) => methodKind === "unary")
      .flatMap((method) => bindings(method).flatMap((binding) => callsOf(method, binding)))
  );
}

interface Binding {
  readonly verb: string;
  readonly path: string;
  readonly hasBody: boolean;
}

function bindings(method: DescMethod): readonly Binding[] {
  if (!hasOption(method, http)) {
    throw new Error(`${method.parent.typeName}/${method.name} has no route`);
  }
  const rule = getOption(method, http);
  return [rule, ...rule.additionalBindings].map(({ pattern, body }) => {
    if (pattern.case === undefined || pattern.case === "custom") {
      throw new Error(`${method.name} has a route that these tables do not know`);
    }
    return { verb: pattern.case.toUpperCase(), path: pattern.value, hasBody: body === "*" };
  });
}

function callsOf(method: DescMethod, { verb, path, hasBody }: Binding): readonly (readonly [string, BadCall])[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const free = method.input.fields.filter(({ name }) => !inPath.includes(name));
  const isIdentity = (field: DescField): boolean => getOption(field, options.identity) !== options.Identity.UNSPECIFIED;
  const own = free.filter((field) => !isIdentity(field));
  const identities = free.filter(isIdentity);
  const filled = path.replace(/\{\w+\}/g, "x");
  const call = (what: string, field: string, request: Partial<WireRequest>): readonly [string, BadCall] => [
    `${verb} ${path} ${what}`,
    { request: { method: verb, path: filled, ...request }, route: path, field },
  ];
  if (!hasBody) {
    const query = (what: string, name: string, value: string): readonly [string, BadCall] =>
      call(what, name, { path: `${filled}?${name}=${value}` });
    return [
      query("with an unknown parameter", "fly", "1"),
      ...identities.map(({ name }) => query(`with ${name}`, name, "x")),
      ...own.flatMap((field) => {
        const text = badText(field);
        return text === undefined ? [] : [query(`with a bad ${field.name}`, field.name, text)];
      }),
    ];
  }
  const body = (what: string, field: string, fields: readonly FieldJson[]): readonly [string, BadCall] =>
    call(what, field, { headers: { "content-type": "application/json" }, body: fieldsJson(fields) });
  const good = goodFields(own);
  return [
    body("with an unknown field", "fly", [...good, ["fly", "1"]]),
    ...identities.map(({ name }) => body(`with ${name}`, name, [...good, [name, '"x"']])),
    ...badFields(own).map(({ name, fields, violation }) => body(name, violation, fields)),
  ];
}
