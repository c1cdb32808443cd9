// The names that the fields of a message have in JSON and in queries: snake_case and lowerCamelCase.
import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { isJsonObject, type JsonTree } from "./text.ts";

/** Descriptors never change, and live as long as the contract. */
const tables = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>();

/** Both names of every field. */
export function fieldsByName(desc: DescMessage): ReadonlyMap<string, DescField> {
  const known = tables.get(desc);
  if (known !== undefined) {
    return known;
  }
  // A name of the contract wins over one that was made from another.
  const table = new Map([
    ...desc.fields.map((field) => [field.jsonName, field] as const),
    ...desc.fields.map((field) => [field.name, field] as const),
  ]);
  tables.set(desc, table);
  return table;
}

/** The proto names of the top-level fields that a client's JSON sets, also to a zero value; `null` is absent. */
export function namedFields(desc: DescMessage, json: JsonTree): Set<string> {
  const named = new Set<string>();
  if (isJsonObject(json)) {
    const fields = fieldsByName(desc);
    for (const key of Object.keys(json)) {
      const field = fields.get(key);
      if (field !== undefined && json[key] !== null) {
        named.add(field.name);
      }
    }
  }
  return named;
}
