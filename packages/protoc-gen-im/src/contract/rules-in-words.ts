// The rules of a JSON Schema for people.
import type { JsonObject } from "@bufbuild/protobuf";

/** A sentence for each rule; none for what the description says already. */
export function rulesInWords(schema: JsonObject): readonly string[] {
  const description = typeof schema.description === "string" ? schema.description : "";
  return rulesOf(schema)
    .filter((rule) => !(/^\d+ to \d+$/.test(rule) && description.includes(rule.replace(/^\d+ /, ""))))
    .map(sentence);
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
