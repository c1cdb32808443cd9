// What programs rely on in the contract besides its messages: routes, names of frames, our options, topics.
import {
  type DescEnum,
  type DescField,
  type DescMethod,
  type FileRegistry,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { http, options } from "@im-gateway/proto";
import { framesOf, recordsOf } from "../contract/frames.ts";

/** One thing that must stay as it is. */
export interface Fact {
  /** `im/logic/v1/auth.proto` */
  readonly file: string;
  /** Of what, `im.logic.v1.AuthService/Login auth`: unique. */
  readonly name: string;
  readonly value: string;
  /** It may go away together with what it is about; what buf says of that is enough. */
  readonly removable: boolean;
}

export function factsOf(contract: FileRegistry): ReadonlyMap<string, Fact> {
  const ours = [...contract.files].filter(({ proto }) => proto.package.startsWith("im."));
  const methods = ours.flatMap(({ services }) => services).flatMap((service) => service.methods);
  const fields = ours.flatMap(({ messages }) => messages).flatMap((message) => message.fields);
  const facts = [
    ...methods.flatMap(methodFacts),
    ...fields.map(identityFact),
    ...frameFacts(contract),
    ...recordsOf(contract).map(({ message, topic, key }) =>
      fact(message, `${message.typeName} topic`, `${topic}, key ${key}`),
    ),
  ];
  return new Map(facts.map((one) => [one.name, one]));
}

function methodFacts(method: DescMethod): readonly Fact[] {
  const name = `${method.parent.typeName}/${method.name}`;
  const { auth, target, successStatus, idempotent } = getOption(method, options.method);
  const rule = hasOption(method, http) ? getOption(method, http) : undefined;
  const routes = rule === undefined ? [] : [rule, ...rule.additionalBindings];
  const of = (what: string, value: string): Fact => fact(method.parent, `${name} ${what}`, value);
  return [
    of("method", method.methodKind),
    of("auth", numberName(options.AuthSchema, auth)),
    of("target", numberName(options.TargetSchema, target || options.Target.LOGIC)),
    of("success_status", String(successStatus || 200)),
    of("idempotent", String(idempotent)),
    ...routes.map(({ pattern, body, responseBody }) => {
      const [verb, path] =
        pattern.case === "custom"
          ? [pattern.value.kind, pattern.value.path]
          : [pattern.case ?? "", pattern.value ?? ""];
      return of(`route ${verb.toUpperCase()} ${path}`, `body "${body}", response_body "${responseBody}"`);
    }),
  ];
}

function identityFact(field: DescField): Fact {
  const identity = getOption(field, options.identity);
  return {
    ...fact(
      field.parent,
      `${field.parent.typeName}.${field.name} identity`,
      numberName(options.IdentitySchema, identity),
    ),
    removable: identity === options.Identity.UNSPECIFIED,
  };
}

function frameFacts(contract: FileRegistry): readonly Fact[] {
  const { client, server } = framesOf(contract);
  const sides = [
    ...client.map((frame) => ["client", frame] as const),
    ...server.map((frame) => ["server", frame] as const),
  ];
  return sides.flatMap(([side, { type, field, data }]) => {
    const method = getOption(field, options.frame_method);
    return [
      fact(field.parent, `${side} frame ${type}`, data.typeName),
      fact(field.parent, `${side} frame ${type} frame_method`, method === "" ? "none" : method),
    ];
  });
}

function fact(owner: { readonly file: { readonly name: string } }, name: string, value: string): Fact {
  return { file: `${owner.file.name}.proto`, name, value, removable: false };
}

function numberName(desc: DescEnum, number: number): string {
  return desc.value[number]?.localName.toLowerCase() ?? String(number);
}
