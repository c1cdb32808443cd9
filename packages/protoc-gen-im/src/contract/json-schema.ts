// Messages as JSON Schema: the JSON profile of the contract, google.api.field_behavior and the rules of buf.validate.
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { FieldBehavior, type FieldRules, field_behavior, fieldRules } from "@im-gateway/proto";
import { commentOf } from "./comment.ts";
import { isIdentity } from "./operations.ts";

/** Who writes the JSON: a client may leave out what is not required, we write every field that is not an absent message. */
export type Writer = "client" | "us";

export interface Schemas {
  /** A reference to the message, which joins `components`. */
  message(message: DescMessage, writer: Writer): JsonObject;
  /** The same of a message less some of its fields, under a name of its own. */
  messageWithout(message: DescMessage, without: ReadonlySet<string>): JsonObject;
  field(field: DescField, writer: Writer): JsonObject;
  readonly components: Readonly<Record<string, JsonObject>>;
}

const maxInteger = 2 ** 53;

/** @param refuseUnknown fields that the contract does not have are errors in what clients write */
export function createSchemas(refuseUnknown: boolean): Schemas {
  const components: Record<string, JsonObject> = {};
  const owners = new Map<string, string>();

  const component = (name: string, owner: string, make: () => JsonObject): JsonObject => {
    const before = owners.get(name);
    if (before === undefined) {
      owners.set(name, owner);
      components[name] = {};
      components[name] = make();
    } else if (before !== owner) {
      throw new Error(`two schemas would have the name ${name}: ${before} and ${owner}`);
    }
    return { $ref: `#/components/schemas/${name}` };
  };

  const object = (message: DescMessage, writer: Writer, without: ReadonlySet<string>): JsonObject => {
    const fields = message.fields.filter(
      (field) => !without.has(field.name) && !(writer === "client" && isIdentity(field)),
    );
    const required = fields.filter((field) => (writer === "client" ? isRequired(field) : isAlwaysWritten(field)));
    return {
      type: "object",
      ...described(commentOf(message)),
      properties: Object.fromEntries(fields.map((field) => [field.name, property(field, writer)])),
      ...(required.length > 0 ? { required: required.map(({ name }) => name) } : {}),
      ...(writer === "client" && refuseUnknown ? { additionalProperties: false } : {}),
    };
  };

  const property = (field: DescField, writer: Writer): JsonObject => {
    const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
    const required = writer === "client" && isRequired(field);
    const { description: own, ...schema } = value(field, writer, rules, required);
    const description = [commentOf(field), ...(typeof own === "string" ? [own] : [])].filter(Boolean).join(" ");
    return { ...schema, ...described(description) };
  };

  const value = (field: DescField, writer: Writer, rules: FieldRules | undefined, required: boolean): JsonObject => {
    switch (field.fieldKind) {
      case "message":
        return messageValue(field.message, writer);
      case "enum":
        return enumValue(field.enum, writer, rules, required);
      case "scalar":
        return { ...scalar(field.scalar), ...(writer === "client" ? scalarRules(field.scalar, rules, required) : {}) };
      case "list": {
        const list = rules?.type.case === "repeated" ? rules.type.value : undefined;
        const items =
          field.listKind === "message" ? messageValue(field.message, writer) : single(field, writer, list?.items);
        return {
          type: "array",
          items,
          ...(writer === "client"
            ? present({
                minItems: list?.minItems || (required ? 1 : undefined),
                maxItems: list?.maxItems || undefined,
                uniqueItems: list?.unique || undefined,
              })
            : {}),
        };
      }
      case "map": {
        const map = rules?.type.case === "map" ? rules.type.value : undefined;
        return {
          type: "object",
          additionalProperties:
            field.mapKind === "message" ? messageValue(field.message, writer) : single(field, writer, map?.values),
          ...(writer === "client"
            ? present({
                minProperties: map?.minPairs || (required ? 1 : undefined),
                maxProperties: map?.maxPairs || undefined,
              })
            : {}),
        };
      }
    }
  };

  const single = (
    field:
      | { readonly scalar: ScalarType; readonly enum: undefined }
      | { readonly scalar: undefined; readonly enum: DescEnum },
    writer: Writer,
    rules: FieldRules | undefined,
  ): JsonObject =>
    field.enum === undefined
      ? { ...scalar(field.scalar), ...(writer === "client" ? scalarRules(field.scalar, rules, false) : {}) }
      : enumValue(field.enum, writer, rules, false);

  const messageValue = (message: DescMessage, writer: Writer): JsonObject => {
    if (message.typeName === "google.protobuf.Struct") {
      return { type: "object", additionalProperties: true };
    }
    return component(message.name, `${message.typeName} ${writer}`, () => object(message, writer, new Set()));
  };

  return {
    components,
    field: property,
    message: messageValue,
    messageWithout: (message, without) =>
      without.size === 0
        ? messageValue(message, "client")
        : component(`${message.name}Body`, `${message.typeName} ${[...without].join()}`, () =>
            object(message, "client", without),
          ),
  };
}

export function isRequired(field: DescField): boolean {
  return getOption(field, field_behavior).includes(FieldBehavior.REQUIRED);
}

export function isAlwaysWritten(field: DescField): boolean {
  return field.fieldKind !== "message" && field.presence === FeatureSet_FieldPresence.IMPLICIT;
}

function described(description: string): JsonObject {
  return description === "" ? {} : { description };
}

/** The numbers with their names: numbers are written, either is read. */
function enumValue(desc: DescEnum, writer: Writer, rules: FieldRules | undefined, required: boolean): JsonObject {
  const rule = rules?.type.case === "enum" ? rules.type.value : undefined;
  const allowed = desc.values.filter(({ number }) => {
    return rule === undefined || rule.in.length === 0 ? number !== 0 : rule.in.includes(number);
  });
  const names = allowed.map(({ localName, number }) => `${number} ${localName.toLowerCase()}`).join(", ");
  const description = [commentOf(desc), `${names}.`].filter(Boolean).join(" ");
  if (writer === "us") {
    return { type: "integer", format: "int32", description };
  }
  const number: JsonObject =
    rule !== undefined && rule.in.length > 0
      ? { type: "integer", enum: [...rule.in] }
      : { type: "integer", format: "int32", ...(required ? { not: { const: 0 } } : {}) };
  return {
    anyOf: [number, { type: "string", enum: allowed.map(({ localName }) => localName.toLowerCase()) }],
    description,
  };
}

function scalar(type: ScalarType): JsonObject {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: "number" };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: "integer", format: "int32" };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 };
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: "integer", minimum: 0, maximum: maxInteger };
    default:
      return { type: "integer", format: "int64", minimum: -maxInteger, maximum: maxInteger };
  }
}

function scalarRules(type: ScalarType, rules: FieldRules | undefined, required: boolean): JsonObject {
  const rule = rules?.type;
  if (type === ScalarType.STRING) {
    const text = rule?.case === "string" ? rule.value : undefined;
    return present({
      minLength: Number(text?.len || text?.minLen || 0) || (required ? 1 : undefined),
      maxLength: Number(text?.len || text?.maxLen || 0) || undefined,
      pattern:
        text?.pattern || (text?.prefix ? `^${text.prefix.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}` : undefined),
      enum: text === undefined || text.in.length === 0 ? undefined : [...text.in],
      format: text === undefined ? undefined : formats[text.wellKnown.case ?? ""],
    });
  }
  if (rule?.case === "int32" || rule?.case === "int64" || rule?.case === "uint32" || rule?.case === "uint64") {
    const { lessThan, greaterThan } = rule.value;
    const allowed = [...rule.value.in].map(Number);
    const bound = (value: bigint | number | undefined): number | undefined =>
      value === undefined ? undefined : Number(value);
    return present({
      [greaterThan.case === "gt" ? "exclusiveMinimum" : "minimum"]: bound(greaterThan.value),
      [lessThan.case === "lt" ? "exclusiveMaximum" : "maximum"]: bound(lessThan.value),
      enum: allowed.length === 0 ? undefined : allowed,
      not: required && !(Number(greaterThan.value ?? -1) > 0) ? { const: 0 } : undefined,
    });
  }
  return present({ not: required && type !== ScalarType.BOOL ? { const: 0 } : undefined });
}

/** buf.validate's names of well-known formats that JSON Schema has. */
const formats: Readonly<Record<string, string>> = {
  email: "email",
  hostname: "hostname",
  ipv4: "ipv4",
  ipv6: "ipv6",
  uri: "uri",
  uriRef: "uri-reference",
  uuid: "uuid",
};

/** Rules that are there; numbers of the descriptors may be bigints. */
function present(rules: Readonly<Record<string, JsonValue | bigint | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(rules).flatMap(([name, rule]): [string, JsonValue][] =>
      rule === undefined ? [] : [[name, typeof rule === "bigint" ? Number(rule) : rule]],
    ),
  );
}
