// JSON Schemas for people: a row for each field, with its type and its rules in words.
import type { JsonObject } from "@bufbuild/protobuf";
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
  const rules = rulesOf(schema).filter(
    (rule) => !(/^\d+ to \d+$/.test(rule) && meaning.includes(rule.replace(/^\d+ /, ""))),
  );
  return [
    `<code>${escapeHtml(name)}</code>${mark}`,
    typeHtml(schema),
    [inline(meaning), ...rules.map((rule) => `<span class="rules">${escapeHtml(sentence(rule))}</span>`)]
      .filter(Boolean)
      .join(" "),
  ];
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

function sentence(rule: string): string {
  return `${rule.charAt(0).toUpperCase()}${rule.slice(1)}.`;
}

function rulesOf(schema: JsonObject): readonly string[] {
  const { minLength, maxLength, minItems, maxItems, pattern, format } = schema;
  const [least, most] = [schema.minimum, schema.maximum].map((bound) =>
    typeof bound === "number" && Math.abs(bound) < 2 ** 53 ? bound : undefined,
  );
  const allowed = Array.isArray(schema.enum) ? schema.enum.filter((value) => value !== "") : [];
  return [
    range(minLength, maxLength, "characters"),
    range(minItems, maxItems, "items"),
    range(least, most, ""),
    allowed.length > 0 ? `one of ${allowed.join(", ")}` : "",
    pattern === undefined ? "" : `matches ${String(pattern)}`,
    format === undefined || /^int/.test(String(format)) ? "" : String(format),
  ].filter(Boolean);
}

function range(least: unknown, most: unknown, unit: string): string {
  const words =
    least === undefined && most === undefined
      ? []
      : most === undefined
        ? [`at least ${String(least)}`]
        : least === undefined
          ? [`at most ${String(most)}`]
          : [`${String(least)} to ${String(most)}`];
  // "At least one character" is what required says already.
  return least === 1 && most === undefined && unit !== "" ? "" : words.map((word) => `${word} ${unit}`.trim()).join("");
}
