// Messages and enums of the contract as TypeScript types, exactly as they are on the wire (CONTRACT §1).
import { type DescEnum, type DescField, type DescMessage, getOption, hasOption, ScalarType } from "@bufbuild/protobuf";
import { FieldBehavior, field_behavior, options } from "@im-gateway/proto";
import { docComment } from "./doc-comment.ts";

/** A request may leave fields out; an answer has all but those with presence. */
export type Role = "request" | "answer";

/** The name of a message's type. */
export type NameOf = (message: DescMessage) => string;

/** The type of a message, with the comments of its fields. */
export function messageType(message: DescMessage, role: Role, nameOf: NameOf): string {
  const fields = visibleFields(message, role).map((field) => {
    const optional = isOptional(field, role);
    const type = `${valueType(field, role, nameOf)}${optional && role === "request" ? " | undefined" : ""}`;
    return `${docComment(field, "  ")}  ${field.name}${optional ? "?" : ""}: ${type};\n`;
  });
  const body = fields.length === 0 ? "Record<string, never>" : `{\n${fields.join("")}}`;
  return `${docComment(message)}export type ${nameOf(message)} = ${body};\n`;
}

/** A const object of the names, and a type that also takes numbers which this version does not know. */
export function enumType(desc: DescEnum): string {
  const values = desc.values.map((value) => `${docComment(value, "  ")}  ${value.localName}: ${value.number},\n`);
  return (
    `${docComment(desc)}export const ${desc.name} = {\n${values.join("")}} as const;\n` +
    `export type ${desc.name} = (typeof ${desc.name})[keyof typeof ${desc.name}] | (number & Record<never, never>);\n`
  );
}

/** Fields that the gateway fills from the token are no part of a request. */
export function visibleFields(message: DescMessage, role: Role): readonly DescField[] {
  return message.fields.filter((field) => role === "answer" || !isIdentity(field));
}

export function isIdentity(field: DescField): boolean {
  return getOption(field, options.identity) !== options.Identity.UNSPECIFIED;
}

export function isRequired(field: DescField): boolean {
  return hasOption(field, field_behavior) && getOption(field, field_behavior).includes(FieldBehavior.REQUIRED);
}

function isOptional(field: DescField, role: Role): boolean {
  if (role === "request") {
    return !isRequired(field);
  }
  return field.fieldKind === "message" || field.oneof !== undefined || field.proto.proto3Optional;
}

function valueType(field: DescField, role: Role, nameOf: NameOf): string {
  const readonly = role === "request" ? "readonly " : "";
  switch (field.fieldKind) {
    case "list":
      return `${readonly}${itemType(field, nameOf)}[]`;
    case "map":
      return `{ ${readonly}[key: string]: ${itemType(field, nameOf)} }`;
    default:
      return itemType(field, nameOf);
  }
}

function itemType(field: Pick<DescField, "scalar" | "enum" | "message">, nameOf: NameOf): string {
  if (field.message !== undefined) {
    return field.message.typeName === "google.protobuf.Struct" ? "JsonObject" : nameOf(field.message);
  }
  if (field.enum !== undefined) {
    return field.enum.name;
  }
  switch (field.scalar) {
    case ScalarType.BOOL:
      return "boolean";
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return "string";
    default:
      return "number";
  }
}
