// Reading a document that is plain JSON.
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export function object(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

export function objects(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.map(object) : [];
}

export function text(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** What a JSON pointer of the document means, `#/components/schemas/User`; the object itself where it is no reference. */
export function resolved(document: JsonObject, value: JsonValue | undefined): JsonObject {
  const found = object(value);
  if (typeof found.$ref !== "string") {
    return found;
  }
  const keys = found.$ref
    .slice(2)
    .split("/")
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  const target = keys.reduce<JsonValue | undefined>((at, key) => object(at)[key], document);
  return resolved(document, target);
}

export function referenceName(value: JsonValue | undefined): string {
  return text(object(value).$ref).split("/").at(-1) ?? "";
}
