// All sources and the schema → a configuration, or every mistake in them at once.
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { escapeControls } from "../log/control-characters.ts";
import type { ConfigKey, ConfigSchema } from "./keys.ts";
import { type ConfigProblem, readAssignments, readEnvironment, type Setting } from "./sources.ts";
import { toJson } from "./values.ts";
import { type ConfigFile, readYaml } from "./yaml-file.ts";

/** Where a configuration comes from; each later one wins over those before. */
export interface ConfigSources {
  readonly file?: ConfigFile;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The `key=value` of each `--set`; the last of a key wins. */
  readonly set: readonly string[];
}

/** Lines of a `ConfigError`; who has more mistakes starts with these. */
const maxShown = 100;

/** A configuration that a program cannot start with. The message has a line for each problem. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.slice(0, maxShown).map(({ source, key, message }) => {
      const named = key === "" || source.endsWith(` ${key}`);
      // Keys and values are whoever's who wrote the file.
      return escapeControls(`  ${source}: ${named ? "" : `${key}: `}${message}`);
    });
    const more = problems.length > maxShown ? [`  … and ${problems.length - maxShown} more`] : [];
    super(["The configuration cannot be used. Correct this and start again:", ...lines, ...more].join("\n"));
    this.problems = problems;
  }
}

/** Reads a configuration file as UTF-8. Rejects with `ConfigError` where there is none. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
    return { name: path, text };
  } catch (error) {
    const message = `the file cannot be read: ${whyUnreadable(error)}`;
    throw new ConfigError([{ source: `--config ${path}`, key: "", message }]);
  }
}

function whyUnreadable(error: unknown): string {
  if (error instanceof TypeError) return "it is not UTF-8";
  const { code = "", message = String(error) } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is none",
    ENOTDIR: "there is none",
    EISDIR: "it is a folder",
    EACCES: "this user may not",
  };
  return reasons[code] ?? message;
}

/** A key with the value that the program uses, and where it comes from. */
export interface EffectiveValue {
  readonly key: ConfigKey;
  /** As it was written, in JSON; `null` where the key, or its section, is not there. */
  readonly value: string | number | readonly string[] | null;
  /** "default", "configs/config.yaml:3", "env IM__LOG__LEVEL" or "--set". */
  readonly source: string;
}

/**
 * Merges defaults, file, environment and `--set`, in this order, and checks the whole.
 * @returns the configuration, frozen, with every default in place; optional sections are there when a source sets a key of them
 * @throws ConfigError with every problem of every source
 */
export function loadConfig<T>(schema: ConfigSchema<T>, sources: ConfigSources): T {
  return deepFreeze(merge(schema, sources).config);
}

/**
 * The value of every key, in the order of the schema.
 * @throws ConfigError as `loadConfig` does
 */
export function effectiveValues<T>(schema: ConfigSchema<T>, sources: ConfigSources): readonly EffectiveValue[] {
  const { config, settings } = merge(schema, sources);
  return schema.keys.map((key): EffectiveValue => {
    const setting = settings.get(key);
    if (setting !== undefined) return { key, value: toJson(key.notation, setting.value), source: setting.source };
    const made = valueAt(config, key.path);
    if (made === undefined) return { key, value: null, source: "default" };
    return { key, value: toJson(key.notation, key.default ?? String(made)), source: "default" };
  });
}

interface Merged<T> {
  readonly config: T;
  readonly settings: ReadonlyMap<ConfigKey, Setting>;
}

function merge<T>({ schema, keys }: ConfigSchema<T>, { file, env, set }: ConfigSources): Merged<T> {
  const readings = [
    ...(file === undefined ? [] : [readYaml(keys, file)]),
    readEnvironment(keys, env),
    readAssignments(keys, set),
  ];
  const settings = new Map(readings.flatMap((reading) => reading.settings).map((setting) => [setting.key, setting]));
  const result = v.safeParse(schema, nested([...settings.values()]));
  // What is missing, and what does not go together, may be otherwise once the file can be read.
  const incomplete = readings.some((reading) => reading.incomplete);
  const issues = (result.issues ?? []).filter(
    ({ type }) => !incomplete || !["partial_check", "strict_object"].includes(type),
  );
  const problems = [
    ...readings.flatMap((reading) => reading.problems),
    ...issues.map((issue) => problemOf(issue, keys, settings)),
  ];
  if (!result.success || problems.length > 0) throw new ConfigError(problems);
  return { config: result.output, settings };
}

function valueAt(config: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (part, name) => (typeof part === "object" && part !== null ? Reflect.get(part, name) : undefined),
    config,
  );
}

interface Tree {
  [name: string]: Setting["value"] | Tree;
}

function nested(settings: readonly Setting[]): Tree {
  const root: Tree = {};
  const sections = new Map<string, Tree>();
  for (const { key, value } of settings) {
    let section = root;
    for (const [index, name] of key.path.entries()) {
      if (index === key.path.length - 1) {
        section[name] = value;
        break;
      }
      const id = key.path.slice(0, index + 1).join(".");
      const inner = sections.get(id) ?? {};
      sections.set(id, inner);
      section[name] = inner;
      section = inner;
    }
  }
  return root;
}

function problemOf(
  issue: v.BaseIssue<unknown>,
  keys: readonly ConfigKey[],
  settings: ReadonlyMap<ConfigKey, Setting>,
): ConfigProblem {
  const path = (issue.path ?? []).map((item) => String(item.key)).join(".");
  const key = keys.find((candidate) => candidate.path.join(".") === path);
  if (key === undefined) {
    // A rule about a section: the first key that somebody set in it shows where to look.
    const inside = [...settings.values()].find((setting) => setting.key.path.join(".").startsWith(`${path}.`));
    return { source: inside?.place ?? "not set", key: path, message: issue.message };
  }
  const source = settings.get(key)?.place ?? (key.default === undefined ? "not set" : "default");
  const missing = issue.type === "strict_object";
  return { source, key: key.key, message: missing ? `missing: set it as ${key.env.at(-1)}` : issue.message };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
