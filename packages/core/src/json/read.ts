// JSON → message, by descriptor: the reading half of the JSON profile (CONTRACT §1).
import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type MessageShape,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { type FieldViolation, invalidFields, maxViolations } from "../errors.ts";
import { fieldsByName } from "./names.ts";
import { BadValue, badValueMessage, isWrapper, mapKey, singleValue } from "./scalars.ts";
import { isJsonObject, type JsonObjectTree, type JsonTree, withoutBigints } from "./text.ts";

/**
 * Unknown fields, and numbers that an enum does not have, are refused on REST and in `call`; in frames and records, which may be newer than the
 * reader, fields are ignored and numbers kept.
 */
export type UnknownFields = "refuse" | "ignore";

interface Reading {
  readonly unknownFields: UnknownFields;
  /** What an Any can hold. */
  readonly types: Registry | undefined;
  readonly violations: FieldViolation[];
}

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
  readInto(reflect(desc, message, false), json, unknownFields);
  return message;
}

/** An empty message whose setters do not check again what was checked here. */
export function unchecked(desc: DescMessage): ReflectMessage {
  return reflect(desc, undefined, false);
}

/**
 * Reads the fields of `json` into an empty message.
 * @param types what an Any can hold: in an Any another type is refused
 * @throws ConnectError invalid_argument with a violation for each bad field
 */
export function readInto(
  message: ReflectMessage,
  json: JsonTree,
  unknownFields: UnknownFields,
  types?: Registry,
): void {
  const reading: Reading = { unknownFields, types, violations: [] };
  if (message.fields.length > 0 && message.desc.typeName.startsWith("google.protobuf.")) {
    readWhole(message, json, reading);
  } else {
    readFields(message, json, "", reading);
  }
  if (reading.violations.length > 0) {
    throw invalidFields(...reading.violations);
  }
}

/** A well-known type that has a JSON form of its own. */
function readWhole(message: ReflectMessage, json: JsonTree, reading: Reading): void {
  try {
    const whole = readNested(message.desc, json, "", reading);
    for (const field of whole.fields) {
      if (whole.isSet(field)) {
        message.set(field, whole.get(field));
      }
    }
  } catch (error) {
    refuse(reading, "", badValueMessage(error));
  }
}

/** @throws ConnectError when there are enough to tell of: the rest is not read */
function refuse({ violations }: Reading, field: string, description: string): void {
  violations.push({ field, description });
  if (violations.length === maxViolations) {
    throw invalidFields(...violations);
  }
}

function readFields(message: ReflectMessage, json: JsonTree, path: string, reading: Reading): void {
  if (!isJsonObject(json)) {
    refuse(reading, path, "must be an object");
    return;
  }
  const fields = fieldsByName(message.desc);
  for (const name of Object.keys(json)) {
    const field = fields.get(name);
    const value = json[name];
    if (field === undefined) {
      if (reading.unknownFields === "refuse") {
        refuse(reading, pathOf(path, name), "unknown field");
      }
      continue;
    }
    if (field.name !== field.jsonName && Object.hasOwn(json, name === field.name ? field.jsonName : field.name)) {
      if (name === field.name) {
        refuse(reading, pathOf(path, name), "given twice");
      }
      continue;
    }
    if (value === undefined || (value === null && field.message?.typeName !== "google.protobuf.Value")) {
      continue;
    }
    if (field.oneof !== undefined && message.oneofCase(field.oneof) !== undefined) {
      const description = `excludes another field of ${field.oneof.name}`;
      refuse(reading, pathOf(path, name), description);
      continue;
    }
    try {
      readField(message, field, value, pathOf(path, name), reading);
    } catch (error) {
      refuse(reading, pathOf(path, name), badValueMessage(error));
    }
  }
}

function readField(message: ReflectMessage, field: DescField, json: JsonTree, path: string, reading: Reading): void {
  const known = reading.unknownFields === "refuse";
  switch (field.fieldKind) {
    case "scalar":
    case "enum":
      message.set(field, singleValue(field, json, known));
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
              : singleValue(field, item, known),
          );
        } catch (error) {
          refuse(reading, itemPath, badValueMessage(error));
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
            field.mapKind === "message"
              ? readNested(field.message, item, itemPath, reading)
              : singleValue(field, item, known),
          );
        } catch (error) {
          refuse(reading, itemPath, badValueMessage(error));
        }
      }
      return;
    }
  }
}

function readNested(desc: DescMessage, json: JsonTree, path: string, reading: Reading): ReflectMessage {
  const [value] = desc.fields;
  if (isWrapper(desc) && value?.fieldKind === "scalar") {
    const wrapper = unchecked(desc);
    wrapper.set(value, singleValue(value, json));
    return wrapper;
  }
  if (desc.typeName === AnySchema.typeName && isJsonObject(json) && Object.keys(json).length > 0) {
    return readAny(json, path, reading);
  }
  if (desc.typeName.startsWith("google.protobuf.")) {
    if (isDeeper(json, maxFreeDepth)) {
      throw new BadValue(`is nested deeper than ${maxFreeDepth}`);
    }
    try {
      return reflect(desc, fromJson(desc, withoutBigints(json)));
    } catch (cause) {
      throw new BadValue(desc.name === "Struct" ? "must be an object" : `is not a ${desc.name}`, { cause });
    }
  }
  const nested = unchecked(desc);
  readFields(nested, json, path, reading);
  return nested;
}

function readAny({ "@type": typeUrl, ...rest }: JsonObjectTree, path: string, reading: Reading): ReflectMessage {
  const type = typeof typeUrl === "string" ? typeUrl : "";
  const desc = reading.types?.getMessage(type.slice(type.lastIndexOf("/") + 1));
  if (desc === undefined || !type.includes("/")) {
    throw new BadValue("has no @type that is known here");
  }
  const own = desc.typeName.startsWith("google.protobuf.");
  if (own && (rest.value === undefined || Object.keys(rest).length > 1)) {
    throw new BadValue(`is not a ${desc.name}`);
  }
  const { message } = readNested(desc, own && rest.value !== undefined ? rest.value : rest, path, reading);
  return reflect(AnySchema, create(AnySchema, { typeUrl: type, value: toBinary(desc, message) }));
}

/** Of a Struct, Value or ListValue: each level is two messages in binary, where readers stop at 100. */
const maxFreeDepth = 45;

function isDeeper(json: JsonTree, depth: number): boolean {
  if (typeof json !== "object" || json === null) {
    return false;
  }
  return depth === 0 || Object.values(json).some((item: JsonTree) => isDeeper(item, depth - 1));
}

function pathOf(parent: string, name: string): string {
  return parent === "" ? name : `${parent}.${name}`;
}
