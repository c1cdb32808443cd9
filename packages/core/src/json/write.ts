// Message → JSON, by descriptor: the writing half of the JSON profile (CONTRACT §1).
import {
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { isWrapper } from "./scalars.ts";

/**
 * The message as a JSON value: snake_case, zero values written, absent messages and unset optionals not, enums and 64-bit integers as numbers.
 * @throws ConnectError internal when a 64-bit integer is beyond 2^53
 */
export function writeMessage<D extends DescMessage>(desc: D, message: MessageShape<D>): JsonObject {
  return writeFields(reflect(desc, message));
}

function writeFields(message: ReflectMessage): JsonObject {
  const out: JsonObject = {};
  for (const field of message.fields) {
    if (!hasPresence(field) || message.isSet(field)) {
      out[field.name] = writeField(message, field);
    }
  }
  return out;
}

/** Fields with presence (message, oneof, optional) are written when set; the others always. */
export function hasPresence(field: DescField): boolean {
  return (
    field.fieldKind === "message" ||
    (field.fieldKind !== "list" && field.fieldKind !== "map" && field.presence !== FeatureSet_FieldPresence.IMPLICIT)
  );
}

function writeField(message: ReflectMessage, field: DescField): JsonValue {
  switch (field.fieldKind) {
    case "scalar":
      return writeScalar(field.scalar, message.get(field));
    case "enum":
      return message.get(field);
    case "message":
      return writeNested(message.get(field));
    case "list": {
      const items: JsonValue[] = [];
      for (const item of message.get(field)) {
        items.push(writeItem(field, item));
      }
      return items;
    }
    case "map": {
      const entries: JsonObject = {};
      for (const [key, item] of message.get(field)) {
        entries[String(key)] = writeItem(field, item);
      }
      return entries;
    }
  }
}

function writeItem(field: { readonly scalar: ScalarType | undefined }, item: unknown): JsonValue {
  if (field.scalar !== undefined) {
    return writeScalar(field.scalar, item);
  }
  return isReflectMessage(item) ? writeNested(item) : writeScalar(ScalarType.INT32, item);
}

function writeNested(message: ReflectMessage): JsonValue {
  const [value] = message.fields;
  if (isWrapper(message.desc) && value?.fieldKind === "scalar") {
    return writeField(message, value);
  }
  return message.desc.typeName.startsWith("google.protobuf.")
    ? toJson(message.desc, message.message)
    : writeFields(message);
}

function writeScalar(type: ScalarType, value: unknown): JsonValue {
  switch (typeof value) {
    case "bigint":
      if (value > 2n ** 53n || value < -(2n ** 53n)) {
        throw failure(Code.Internal, "INTEGER_TOO_LARGE", "an integer of the answer is beyond 2^53");
      }
      return Number(value);
    case "string":
    case "number":
    case "boolean":
      return value;
    default:
      if (type === ScalarType.BYTES && value instanceof Uint8Array) {
        return base64Encode(value);
      }
      throw failure(Code.Internal, "UNWRITABLE_FIELD", "a message holds a value that its descriptor does not have");
  }
}
