// The values of single fields, from JSON and from the text of paths and queries: what the JSON profile takes for a string, a number, an enum.
import { type DescEnum, type DescField, type DescMessage, fromJson, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { base64Decode } from "@bufbuild/protobuf/wire";
import type { JsonTree } from "./text.ts";

const maxInteger = 2n ** 53n;
/** The largest of 32 bits. */
const maxFloat = (2 - 2 ** -23) * 2 ** 127;
const DECIMAL = /^-?(0|[1-9]\d*)$/;
/** RFC 8259 §6. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;
/** Well-known types that are one text in JSON. */
const textTypes: ReadonlySet<string> = new Set(
  ["Timestamp", "Duration", "FieldMask"].map((name) => `google.protobuf.${name}`),
);
const WRAPPER = /^google\.protobuf\.(?:Double|Float|U?Int(?:32|64)|Bool|String|Bytes)Value$/;

/** What is wrong with a value; it becomes a field violation where the path is known. */
export class BadValue extends Error {}

/**
 * Sets one field from the text of a path or query: a scalar, an enum, a list of them, or a well-known type that is one text or number in JSON.
 * @returns what is wrong with it, or undefined
 */
export function readText(message: ReflectMessage, field: DescField, texts: readonly string[]): string | undefined {
  try {
    if (field.fieldKind === "list" && field.listKind !== "message") {
      for (const text of texts) {
        message.get(field).add(valueOfText(field, text));
      }
      return undefined;
    }
    const [text] = texts;
    if (text === undefined || texts.length > 1) {
      return "must be given once";
    }
    if (field.fieldKind === "scalar" || field.fieldKind === "enum") {
      message.set(field, valueOfText(field, text));
      return undefined;
    }
    if (field.fieldKind === "message" && isTextual(field.message)) {
      message.set(field, messageOfText(field.message, text));
      return undefined;
    }
    return "can not be given here";
  } catch (error) {
    return badValueMessage(error);
  }
}

/** A well-known type that a query can give. */
export function isTextual({ typeName }: DescMessage): boolean {
  return textTypes.has(typeName) || WRAPPER.test(typeName);
}

/** Int64Value and its like: in JSON the value, under the rules of its type. */
export function isWrapper({ typeName }: DescMessage): boolean {
  return WRAPPER.test(typeName);
}

function messageOfText(desc: DescMessage, text: string): ReflectMessage {
  if (textTypes.has(desc.typeName)) {
    try {
      return reflect(desc, fromJson(desc, text));
    } catch (cause) {
      throw new BadValue(`is not a ${desc.name}`, { cause });
    }
  }
  const wrapper = reflect(desc);
  for (const field of desc.fields) {
    if (field.fieldKind === "scalar") {
      wrapper.set(field, valueOfText(field, text));
    }
  }
  return wrapper;
}

export type SingleField = { readonly name: string } & (
  | { readonly scalar: ScalarType; readonly enum: undefined }
  | { readonly scalar: undefined; readonly enum: DescEnum }
);

/**
 * @param knownOnly a number that the enum does not have is bad
 * @throws BadValue
 */
export function singleValue(field: SingleField, json: JsonTree, knownOnly = false): unknown {
  if (field.enum !== undefined) {
    return enumValue(field.enum, json, knownOnly);
  }
  switch (field.scalar) {
    case ScalarType.STRING:
      if (typeof json === "string") {
        return json;
      }
      if ((typeof json === "bigint" || Number.isSafeInteger(json)) && /_ids?$/.test(field.name)) {
        return String(json);
      }
      throw new BadValue("must be a string");
    case ScalarType.BOOL:
      if (typeof json !== "boolean") {
        throw new BadValue("must be true or false");
      }
      return json;
    case ScalarType.BYTES:
      return bytesValue(json);
    case ScalarType.DOUBLE:
      return numberValue(json, Number.MAX_VALUE);
    case ScalarType.FLOAT:
      return numberValue(json, maxFloat);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return smallInteger(json, -(2 ** 31), 2 ** 31 - 1);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return smallInteger(json, 0, 2 ** 32 - 1);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return integerValue(json, 0n, maxInteger);
    default:
      return integerValue(json, -maxInteger, maxInteger);
  }
}

/** A value as a path or a query gives it. @throws BadValue */
export function valueOfText(field: SingleField, text: string): unknown {
  if (field.enum !== undefined) {
    return enumValue(field.enum, DECIMAL.test(text) ? Number(text) : text, true);
  }
  switch (field.scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return singleValue(field, text);
    case ScalarType.BOOL:
      return singleValue(field, text === "true" ? true : text === "false" ? false : null);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return singleValue(field, NUMBER.test(text) ? Number(text) : null);
    default:
      return singleValue(field, text);
  }
}

function numberValue(json: JsonTree, max: number): number {
  const value = typeof json === "bigint" ? Number(json) : json;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new BadValue("must be a number");
  }
  if (Math.abs(value) > max) {
    throw new BadValue("does not fit the field");
  }
  return value;
}

function smallInteger(json: JsonTree, min: number, max: number): number {
  return typeof json === "number" && Number.isInteger(json) && json >= min && json <= max
    ? json
    : Number(integerValue(json, BigInt(min), BigInt(max)));
}

function integerValue(json: JsonTree, min: bigint, max: bigint): bigint {
  let value: bigint;
  if (typeof json === "bigint") {
    value = json;
  } else if (typeof json === "number" && Number.isInteger(json)) {
    value = BigInt(json);
  } else if (typeof json === "string" && DECIMAL.test(json) && json.length <= 20) {
    value = BigInt(json);
  } else {
    throw new BadValue("must be an integer");
  }
  if (value < min || value > max) {
    throw new BadValue(`must be from ${min} to ${max}`);
  }
  return value;
}

function enumValue(desc: DescEnum, json: JsonTree, knownOnly: boolean): number {
  if (typeof json === "string") {
    const value = desc.values.find(
      ({ name, localName }) => json === name || json.toUpperCase() === localName.toUpperCase(),
    );
    if (value !== undefined) {
      return value.number;
    }
  } else if (typeof json === "number" && Number.isInteger(json) && Math.abs(json) < 2 ** 31) {
    if (knownOnly && desc.value[json] === undefined) {
      throw new BadValue(`is no ${desc.name}`);
    }
    return json;
  }
  throw new BadValue(`is no ${desc.name}`);
}

function bytesValue(json: JsonTree): Uint8Array {
  if (typeof json === "string") {
    try {
      return base64Decode(json);
    } catch (cause) {
      throw new BadValue("must be base64", { cause });
    }
  }
  throw new BadValue("must be base64");
}

export function mapKey(type: ScalarType, key: string): unknown {
  if (type === ScalarType.BOOL) {
    return singleValue(
      { name: "", scalar: type, enum: undefined },
      key === "true" ? true : key === "false" ? false : null,
    );
  }
  return singleValue({ name: "", scalar: type, enum: undefined }, key);
}

/** What is wrong with a value, in our words. */
export function badValueMessage(error: unknown): string {
  if (error instanceof BadValue) {
    return error.message;
  }
  throw error;
}
