// Which fields a client wrote, whatever their values: an empty one is seen, too.
import type { DescMessage } from "@bufbuild/protobuf";
import { isJsonObject, type JsonTree } from "./text.ts";

/** The message's own fields that the JSON has a value for, by their names in the contract. */
export function namedFields(desc: DescMessage, json: JsonTree): ReadonlySet<string> {
  const named = new Set<string>();
  if (isJsonObject(json)) {
    for (const { name, jsonName } of desc.fields) {
      if ((json[name] ?? json[jsonName] ?? null) !== null) {
        named.add(name);
      }
    }
  }
  return named;
}
