// Message → JSON, by descriptor: the writing half of the JSON profile (CONTRACT §1).
import {
  type DescField,
  type DescMessage,
  fromBinary,
  isMessage,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  type Registry,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { type Any, AnySchema, FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";
import { isWrapper } from "./scalars.ts";

/**
 * The message as a JSON value: snake_case, zero values written, absent messages and unset optionals not, enums and 64-bit integers as numbers.
 * @param types what an Any can hold; what is not among them stays opaque, as base64 in `value`
 * @throws ConnectError internal when a 64-bit integer is beyond 2^53
 */
export function writeMessage<D extends DescMessage>(desc: D, message: MessageShape<D>, types?: Registry): JsonObject {
  return writeFields(reflect(desc, message), types);
}

/** The same for an answer, which may be a well-known type with a JSON form of its own. */
export function writeAnswer<D extends DescMessage>(desc: D, message: MessageShape<D>, types?: Registry): JsonValue {
  return writeNested(reflect(desc, message), types);
}

function writeFields(message: ReflectMessage, types: Registry | undefined): JsonObject {
  const out: JsonObject = {};
  for (const field of message.fields) {
    if (!hasPresence(field) || message.isSet(field)) {
      out[field.name] = writeField(message, field, types);
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

function writeField(message: ReflectMessage, field: DescField, types: Registry | undefined): JsonValue {
  switch (field.fieldKind) {
    case "scalar":
      return writeScalar(field.scalar, message.get(field));
    case "enum":
      return message.get(field);
    case "message":
      return writeNested(message.get(field), types);
    case "list": {
      const items: JsonValue[] = [];
      for (const item of message.get(field)) {
        items.push(writeItem(field, item, types));
      }
      return items;
    }
    case "map": {
      const entries: JsonObject = {};
      for (const [key, item] of message.get(field)) {
        entries[String(key)] = writeItem(field, item, types);
      }
      return entries;
    }
  }
}

function writeItem(
  field: { readonly scalar: ScalarType | undefined },
  item: unknown,
  types: Registry | undefined,
): JsonValue {
  if (field.scalar !== undefined) {
    return writeScalar(field.scalar, item);
  }
  return isReflectMessage(item) ? writeNested(item, types) : writeScalar(ScalarType.INT32, item);
}

function writeNested(message: ReflectMessage, types: Registry | undefined): JsonValue {
  const [value] = message.fields;
  if (isWrapper(message.desc) && value?.fieldKind === "scalar") {
    return writeField(message, value, types);
  }
  if (isMessage(message.message, AnySchema)) {
    return writeAny(message.message, types);
  }
  return message.desc.typeName.startsWith("google.protobuf.")
    ? toJson(message.desc, message.message)
    : writeFields(message, types);
}

/** Of a back end: what is not what it says it is must not turn the answer into an error. */
function writeAny({ typeUrl, value }: Any, types: Registry | undefined): JsonObject {
  if (typeUrl === "") {
    return {};
  }
  const desc = types?.getMessage(typeUrl.slice(typeUrl.lastIndexOf("/") + 1));
  try {
    if (desc !== undefined) {
      const json = writeNested(reflect(desc, fromBinary(desc, value)), types);
      const own = desc.typeName.startsWith("google.protobuf.");
      return { "@type": typeUrl, ...(own ? { value: json } : Object(json)) };
    }
  } catch {
    return { "@type": typeUrl, value: base64Encode(value) };
  }
  return { "@type": typeUrl, value: base64Encode(value) };
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
