// What programs rely on in the contract besides its messages: routes, names of frames, our options, topics.
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  type FileRegistry,
  getOption,
  hasOption,
  toJson,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { FieldBehavior, FieldRulesSchema, field_behavior, fieldRules, http, options } from "@im-gateway/proto";
import { framesOf, recordsOf } from "../contract/frames.ts";

/** One thing that must stay as it is. */
export interface Fact {
  /** `im/logic/v1/auth.proto` */
  readonly file: string;
  /** The message or service that it is about. */
  readonly owner: string;
  /** Of what, `im.logic.v1.AuthService/Login auth`: unique. */
  readonly name: string;
  readonly value: string;
  /** It may go away together with what it is about; what buf says of that is enough. */
  readonly removable: boolean;
  /** The value that asks nothing of who sends it. */
  readonly harmless?: string;
}

export function factsOf(contract: FileRegistry): ReadonlyMap<string, Fact> {
  const ours = [...contract.files].filter(({ proto }) => proto.package.startsWith("im."));
  const methods = ours.flatMap(({ services }) => services).flatMap((service) => service.methods);
  const fields = ours.flatMap(({ messages }) => messages).flatMap((message) => message.fields);
  const facts = [
    ...methods.flatMap(methodFacts),
    ...fields.map(identityFact),
    ...fields.flatMap(fieldFacts),
    ...frameFacts(contract),
    ...recordsOf(contract).map(({ message, topic, key }) =>
      fact(message, `${message.typeName} topic`, `${topic}, key ${key}`),
    ),
  ];
  return new Map(facts.map((one) => [one.name, one]));
}

function methodFacts(method: DescMethod): readonly Fact[] {
  const name = `${method.parent.typeName}/${method.name}`;
  const { auth, target, successStatus, idempotent, rateClass } = getOption(method, options.method);
  const rule = hasOption(method, http) ? getOption(method, http) : undefined;
  const routes = rule === undefined ? [] : [rule, ...rule.additionalBindings];
  const of = (what: string, value: string): Fact => fact(method.parent, `${name} ${what}`, value);
  return [
    of("method", method.methodKind),
    of("auth", numberName(options.AuthSchema, auth)),
    of("target", numberName(options.TargetSchema, target || options.Target.LOGIC)),
    of("success_status", String(successStatus || 200)),
    of("rate_class", numberName(options.RateClassSchema, rateClass)),
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

function fieldFacts(field: DescField): readonly Fact[] {
  const of = (what: string, value: string): Fact => ({
    ...fact(field.parent, `${field.parent.typeName}.${field.name} ${what}`, value),
    removable: true,
  });
  const isRequired = getOption(field, field_behavior).includes(FieldBehavior.REQUIRED);
  return [
    { ...of("required", String(isRequired)), harmless: "false" },
    // Looser rules than before are named too: nobody can tell by a program what an expression lets pass.
    { ...of("rules", hasOption(field, fieldRules) ? rulesOf(field) : "none"), harmless: "none" },
    // Without a value it is written as its zero, or not at all.
    of("presence", field.presence === FeatureSet_FieldPresence.IMPLICIT ? "implicit" : "explicit"),
  ];
}

function rulesOf(field: DescField): string {
  return JSON.stringify(toJson(FieldRulesSchema, getOption(field, fieldRules)));
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

function fact(owner: DescMessage | DescService, name: string, value: string): Fact {
  return { file: `${owner.file.name}.proto`, owner: owner.typeName, name, value, removable: false };
}

function numberName(desc: DescEnum, number: number): string {
  return desc.value[number]?.localName.toLowerCase() ?? String(number);
}
