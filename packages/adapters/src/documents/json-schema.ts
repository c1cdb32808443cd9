// A JSON Schema of a program's configuration file, by which editors complete and check it.
import { type ConfigKey, toJson } from "../config/index.ts";

interface SectionSchema {
  /** A section may stand there with nothing in it. */
  readonly type: readonly ["object", "null"];
  readonly properties: Record<string, SectionSchema | Readonly<Record<string, unknown>>>;
  readonly additionalProperties: false;
}

/**
 * Draft 2020-12. It takes whatever the program takes: nothing is required, because the environment and `--set` may have it, and bounds of
 * durations and rules between keys are left to `check-config`.
 * @param program as people type it
 */
export function configJsonSchema(program: string, keys: readonly ConfigKey[]): Readonly<Record<string, unknown>> {
  const root = section();
  const sections = new Map([["", root]]);
  const sectionOf = (name: string): SectionSchema => {
    const known = sections.get(name);
    if (known !== undefined) return known;
    const made = section();
    sections.set(name, made);
    const [parent, last] = splitKey(name);
    sectionOf(parent).properties[last] = made;
    return made;
  };
  for (const { key, notation, description, ...rest } of keys) {
    const [parent, last] = splitKey(key);
    const fallback = rest.default === undefined ? {} : { default: toJson(notation, rest.default) };
    sectionOf(parent).properties[last] = { description, ...fallback, ...notation.json };
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `The configuration of ${program}`,
    ...root,
  };
}

function section(): SectionSchema {
  return { type: ["object", "null"], properties: {}, additionalProperties: false };
}

/** "grpc.logic.timeout" → ["grpc.logic", "timeout"] */
function splitKey(key: string): readonly [parent: string, last: string] {
  const dot = key.lastIndexOf(".");
  return dot === -1 ? ["", key] : [key.slice(0, dot), key.slice(dot + 1)];
}
