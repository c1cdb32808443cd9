// JSON Schemas for people: a row for each field, with its type and its rules in words.
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { rulesInWords } from "../contract/rules-in-words.ts";
import { escapeHtml, inline, table } from "./html.ts";
import { object, objects, referenceName, resolved, text } from "./json.ts";

/** The fields of an object; empty where it has none. */
export function fieldTable(document: JsonObject, schema: JsonObject, showRequired: boolean): string {
  const { properties, required } = resolved(document, schema);
  const names = Array.isArray(required) ? required : [];
  const rows = Object.entries(object(properties)).map(([name, field]) =>
    fieldRow(name, object(field), showRequired && names.includes(name)),
  );
  return rows.length === 0 ? "" : table(["Field", "Type", "Meaning"], rows);
}

export function fieldRow(name: string, schema: JsonObject, required: boolean): readonly string[] {
  const mark = required ? ' <span class="required">required</span>' : "";
  const meaning = text(schema.description);
  const rules = rulesInWords(schema);
  return [
    `<code>${escapeHtml(name)}</code>${mark}`,
    typeHtml(schema),
    [inline(meaning), ...rules.map((rule) => `<span class="rules">${escapeHtml(rule)}</span>`)]
      .filter(Boolean)
      .join(" "),
  ];
}

/** Those that fields refer to, and the Error. A body's own schema is shown where it is used. */
export function linkedSchemas(document: JsonObject): readonly (readonly [string, JsonObject])[] {
  const linked = new Set(linkedNames("", document)).add("Error");
  return Object.entries(object(object(document.components).schemas)).flatMap(([name, schema]) =>
    linked.has(name) ? [[name, object(schema)] as const] : [],
  );
}

function linkedNames(key: string, value: JsonValue): readonly string[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const own = key === "schema" ? "" : referenceName(value);
  return [own, ...Object.entries(value).flatMap(([name, inner]) => linkedNames(name, inner))];
}

export function schemaId(name: string): string {
  return `schema-${name}`;
}

function typeHtml(schema: JsonObject): string {
  const name = referenceName(schema);
  if (name !== "") {
    return `<a href="#${schemaId(name)}">${escapeHtml(name)}</a>`;
  }
  if (schema.type === "array") {
    return `list of ${typeHtml(object(schema.items))}`;
  }
  if (schema.type === "object") {
    const values = schema.additionalProperties;
    return typeof values === "object" ? `map to ${typeHtml(object(values))}` : "object";
  }
  const choice = objects(schema.anyOf).map((one) => text(one.type));
  return escapeHtml(choice.length > 0 ? choice.join(" or ") : text(schema.type) || "any");
}
