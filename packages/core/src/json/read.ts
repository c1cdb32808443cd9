// JSON → message, by descriptor: the reading half of the JSON profile (CONTRACT §1).
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import { isFieldError, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { type FieldViolation, invalidFields, maxViolations } from "../errors.ts";
import { isJsonObject, type JsonTree, withoutBigints } from "./text.ts";

/** Unknown fields are refused on REST and in `call`, ignored in frames and records. */
export type UnknownFields = "refuse" | "ignore";

interface Reading {
  readonly unknownFields: UnknownFields;
  readonly violations: FieldViolation[];
}

const maxInteger = 2n ** 53n;
const DECIMAL = /^-?(0|[1-9]\d*)$/;

/** What is wrong with a value; it becomes a field violation where the path is known. */
class BadValue extends Error {}

/**
 * Reads a message from parsed JSON. Field names in snake_case or lowerCamelCase, enums by number or name, `null` as absent, an `…_id` also from a
 * JSON number.
 * @throws ConnectError invalid_argument with a violation for each bad field
 */
export function readMessage<D extends DescMessage>(
  desc: D,
  json: JsonTree,
  unknownFields: UnknownFields,
): MessageShape<D> {
  const message = create(desc);
  const reading: Reading = { unknownFields, violations: [] };
  readInto(reflect(desc, message), json, "", reading);
  if (reading.violations.length > 0) {
    throw invalidFields(...reading.violations.slice(0, maxViolations));
  }
  return message;
}

/**
 * Sets one scalar or enum field from the text of a path or query.
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
    if (field.fieldKind === "scalar" || field.fieldKind === "enum") {
      const [text] = texts;
      if (text === undefined || texts.length > 1) {
        return "must be given once";
      }
      message.set(field, valueOfText(field, text));
      return undefined;
    }
    return "can not be given here";
  } catch (error) {
    return badValueMessage(error);
  }
}

function readInto(message: ReflectMessage, json: JsonTree, path: string, reading: Reading): void {
  if (!isJsonObject(json)) {
    reading.violations.push({ field: path, description: "must be an object" });
    return;
  }
  let known = 0;
  const oneofs = new Set<string>();
  for (const field of message.fields) {
    const name = Object.hasOwn(json, field.name) ? field.name : field.jsonName;
    const value = Object.hasOwn(json, name) ? json[name] : undefined;
    if (value === undefined) {
      continue;
    }
    known++;
    const fieldPath = path === "" ? name : `${path}.${name}`;
    if (field.name !== field.jsonName && name === field.name && Object.hasOwn(json, field.jsonName)) {
      known++;
      reading.violations.push({ field: fieldPath, description: "given twice" });
      continue;
    }
    if (value === null && field.message?.typeName !== "google.protobuf.Value") {
      continue;
    }
    if (field.oneof !== undefined) {
      if (oneofs.has(field.oneof.name)) {
        reading.violations.push({ field: fieldPath, description: `excludes another field of ${field.oneof.name}` });
        continue;
      }
      oneofs.add(field.oneof.name);
    }
    try {
      readField(message, field, value, fieldPath, reading);
    } catch (error) {
      reading.violations.push({ field: fieldPath, description: badValueMessage(error) });
    }
  }
  if (reading.unknownFields === "refuse" && known < Object.keys(json).length) {
    const names = new Set(message.fields.flatMap((field) => [field.name, field.jsonName]));
    for (const key of Object.keys(json)) {
      if (!names.has(key)) {
        reading.violations.push({ field: path === "" ? key : `${path}.${key}`, description: "unknown field" });
      }
    }
  }
}

function readField(message: ReflectMessage, field: DescField, json: JsonTree, path: string, reading: Reading): void {
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      message.set(field, singleValue(field, json));
      return;
    case "message":
      message.set(field, readNested(field.message, json, path, reading));
      return;
    case "list": {
      if (!Array.isArray(json)) {
        throw new BadValue("must be an array");
      }
      const list = message.get(field);
      for (const [index, item] of json.entries()) {
        const itemPath = `${path}[${index}]`;
        try {
          list.add(
            field.listKind === "message"
              ? readNested(field.message, item, itemPath, reading)
              : singleValue(field, item),
          );
        } catch (error) {
          reading.violations.push({ field: itemPath, description: badValueMessage(error) });
        }
      }
      return;
    }
    case "map": {
      if (!isJsonObject(json)) {
        throw new BadValue("must be an object");
      }
      const map = message.get(field);
      for (const [key, item] of Object.entries(json)) {
        const itemPath = `${path}.${key}`;
        try {
          map.set(
            mapKey(field.mapKey, key),
            field.mapKind === "message" ? readNested(field.message, item, itemPath, reading) : singleValue(field, item),
          );
        } catch (error) {
          reading.violations.push({ field: itemPath, description: badValueMessage(error) });
        }
      }
      return;
    }
  }
}

function readNested(desc: DescMessage, json: JsonTree, path: string, reading: Reading): ReflectMessage {
  if (desc.typeName.startsWith("google.protobuf.")) {
    try {
      return reflect(desc, fromJson(desc, withoutBigints(json)));
    } catch (cause) {
      throw new BadValue(desc.name === "Struct" ? "must be an object" : `is not a ${desc.name}`, { cause });
    }
  }
  const nested = reflect(desc);
  readInto(nested, json, path, reading);
  return nested;
}

type SingleField = { readonly name: string } & (
  | { readonly scalar: ScalarType; readonly enum: undefined }
  | { readonly scalar: undefined; readonly enum: DescEnum }
);

function singleValue(field: SingleField, json: JsonTree): unknown {
  if (field.enum !== undefined) {
    return enumValue(field.enum, json);
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
    case ScalarType.FLOAT:
      return numberValue(json);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return Number(integerValue(json, -(2n ** 31n), 2n ** 31n - 1n));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return Number(integerValue(json, 0n, 2n ** 32n - 1n));
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return integerValue(json, 0n, maxInteger);
    default:
      return integerValue(json, -maxInteger, maxInteger);
  }
}

function valueOfText(field: SingleField, text: string): unknown {
  if (field.enum !== undefined) {
    const number = DECIMAL.test(text) ? Number(text) : text;
    if (typeof number === "number" && field.enum.value[number] === undefined) {
      throw new BadValue(`is no ${field.enum.name}`);
    }
    return enumValue(field.enum, number);
  }
  switch (field.scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return singleValue(field, text);
    case ScalarType.BOOL:
      return singleValue(field, text === "true" ? true : text === "false" ? false : null);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return singleValue(field, text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : null);
    default:
      return singleValue(field, text);
  }
}

function numberValue(json: JsonTree): number {
  const value = typeof json === "bigint" ? Number(json) : json;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new BadValue("must be a number");
  }
  return value;
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

function enumValue(desc: DescEnum, json: JsonTree): number {
  if (typeof json === "string") {
    const value = desc.values.find(
      ({ name, localName }) => json === name || json.toUpperCase() === localName.toUpperCase(),
    );
    if (value !== undefined) {
      return value.number;
    }
  } else if (typeof json === "number" && Number.isInteger(json) && Math.abs(json) < 2 ** 31) {
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

function mapKey(type: ScalarType, key: string): unknown {
  if (type === ScalarType.BOOL) {
    return singleValue(
      { name: "", scalar: type, enum: undefined },
      key === "true" ? true : key === "false" ? false : null,
    );
  }
  return singleValue({ name: "", scalar: type, enum: undefined }, key);
}

function badValueMessage(error: unknown): string {
  if (error instanceof BadValue) {
    return error.message;
  }
  // What only the runtime knows: a float beyond 32 bits.
  if (isFieldError(error)) {
    return "does not fit the field";
  }
  throw error;
}
