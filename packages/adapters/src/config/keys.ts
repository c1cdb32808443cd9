// One key of the configuration: its names in every source, its form, default and description. Checks and documents are derived from these.
import * as v from "valibot";
import type { Form, Notation, RawValue } from "./values.ts";

/** A key as sources, messages and documents need it. */
export interface ConfigKey {
  /** "server.http_addr": as in `--set`, and nested in the file. */
  readonly key: string;
  /** Where it stands in the typed result: ["server", "httpAddr"]. */
  readonly path: readonly string[];
  /** The environment's names for it, the strongest last: ["LOG_LEVEL", "IM__LOG__LEVEL"]. */
  readonly env: readonly [string, ...string[]];
  readonly description: string;
  /** As one would write it; absent where there is none, or where each start makes its own. */
  readonly default?: RawValue;
  /** Whether it has to be set once its section is there. */
  readonly required: boolean;
  readonly notation: Notation;
  /** Whether its value is never to be shown. */
  readonly secret: boolean;
}

/** All that a program can be told. */
export interface ConfigSchema<T> {
  readonly schema: v.GenericSchema<unknown, T>;
  /** In the order of the schema. */
  readonly keys: readonly ConfigKey[];
}

/** A part of the schema that makes a `T`. `Pick` turns the interface into a plain object type, in which valibot can name paths. */
export type Section<T> = v.GenericSchema<unknown, Pick<T, keyof T>>;

/** What is there as soon as a source sets a key of it, and else `undefined`. */
export type OptionalSection<T> = v.OptionalSchema<Section<T>, undefined>;

interface Traits {
  /** Never show the value. */
  readonly secret?: true;
  /** A plain environment name beside the one with IM__. */
  readonly env?: string;
}

/**
 * A key that has a default.
 * @param name as the file has it
 * @param defaultValue as one would write it, or a function where each start makes its own
 */
export function key<T>(
  name: string,
  form: Form<T>,
  defaultValue: RawValue | (() => string),
  description: string,
  traits: Traits = {},
): v.OptionalSchema<Form<T>, RawValue | (() => string)> {
  const fixed = typeof defaultValue === "function" ? {} : { default: defaultValue };
  return v.optional(described(name, form, description, { ...traits, ...fixed }), defaultValue);
}

/** A key that may be absent. */
export function optionalKey<T>(
  name: string,
  form: Form<T>,
  description: string,
  traits: Traits = {},
): v.OptionalSchema<Form<T>, undefined> {
  return v.optional(described(name, form, description, traits));
}

/** A key that must be set once its section is there. */
export function requiredKey<T>(name: string, form: Form<T>, description: string): Form<T> {
  return described(name, form, description, {});
}

/** Reads the keys out of a schema: objects are sections, named in the file as in the result. */
export function configSchema<T>(schema: v.GenericSchema<unknown, T>): ConfigSchema<T> {
  return { schema, keys: keysOf(schema, []) };
}

/** The names of the sections that these keys are in: "grpc", "grpc.logic". */
export function sectionsOf(keys: readonly ConfigKey[]): ReadonlySet<string> {
  const parents = ({ key }: ConfigKey) => [...key.matchAll(/\./g)].map(({ index }) => key.slice(0, index));
  return new Set(keys.flatMap(parents));
}

function described<T>(
  name: string,
  form: Form<T>,
  description: string,
  metadata: Traits & { readonly default?: RawValue },
): Form<T> {
  return v.pipe(form, v.description(description), v.metadata({ name, ...metadata }));
}

function keysOf(schema: v.GenericSchema, path: readonly string[]): ConfigKey[] {
  const inner = "wrapped" in schema && isSchema(schema.wrapped) ? schema.wrapped : schema;
  if ("entries" in inner && typeof inner.entries === "object" && inner.entries !== null) {
    return Object.entries(inner.entries).flatMap(([property, entry]) =>
      isSchema(entry) ? keysOf(entry, [...path, property]) : [],
    );
  }
  const metadata = v.parse(metadataSchema, v.getMetadata(inner));
  const key = [...path.slice(0, -1), metadata.name].join(".");
  const full = `IM__${key.replaceAll(".", "__").toUpperCase()}`;
  return [
    {
      key,
      path,
      env: metadata.env === undefined ? [full] : [metadata.env, full],
      description: v.getDescription(inner) ?? "",
      ...(metadata.default === undefined ? {} : { default: metadata.default }),
      required: inner === schema,
      notation: metadata.notation,
      secret: metadata.secret ?? false,
    },
  ];
}

const metadataSchema = v.object({
  name: v.string(),
  secret: v.optional(v.literal(true)),
  env: v.optional(v.string()),
  default: v.optional(v.union([v.string(), v.array(v.string())])),
  notation: v.object({ kind: v.picklist(["text", "number", "list"]), json: v.record(v.string(), v.unknown()) }),
});

function isSchema(value: unknown): value is v.GenericSchema {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}
