// What the sources say, before it is checked as a whole: each value with the place where it was written, and what cannot be a key.
import { type ConfigKey, sectionsOf } from "./keys.ts";
import { nearest } from "./nearest.ts";
import type { RawValue } from "./values.ts";

/** The place of a value, as people are told: "configs/config.yaml:3:7", "env IM__LOG__LEVEL", "--set log.level". */
export type Place = string;

/** One value of one source. */
export interface Setting {
  readonly key: ConfigKey;
  readonly value: RawValue;
  readonly place: Place;
  /** The place in the words of `print-config`: "configs/config.yaml:3", "env IM__LOG__LEVEL", "--set". */
  readonly source: string;
}

/** One mistake. */
export interface ConfigProblem {
  /** "default" or "not set" where the mistake is that nothing was set. */
  readonly source: Place;
  /** A key, a section, or what stands in their place; "" where the whole source is meant. */
  readonly key: string;
  readonly message: string;
}

/** What one source says. Settings that come later win. */
export interface Reading {
  readonly settings: readonly Setting[];
  readonly problems: readonly ConfigProblem[];
  /** What is not in `settings` may have been set all the same. */
  readonly incomplete?: boolean;
}

/** Reads `IM__…` variables, and the plain names of keys that have one. A plain name that is empty counts as not set. */
export function readEnvironment(
  keys: readonly ConfigKey[],
  env: Readonly<Record<string, string | undefined>>,
): Reading {
  const settings = keys.flatMap((key) =>
    key.env.flatMap((name): Setting[] => {
      const value = env[name];
      if (value === undefined || (value === "" && !name.startsWith("IM__"))) return [];
      return [{ key, value, place: `env ${name}`, source: `env ${name}` }];
    }),
  );
  const known = new Set(keys.flatMap((key) => key.env));
  const problems = Object.keys(env)
    .filter((name) => name.startsWith("IM__") && !known.has(name))
    .map((name) => ({
      source: `env ${name}`,
      key: name,
      message: withSuggestion("not a key of the configuration", nearest(name, known, "__")),
    }));
  return { settings, problems };
}

/** Reads the `key=value` of each `--set`. */
export function readAssignments(keys: readonly ConfigKey[], assignments: readonly string[]): Reading {
  const settings: Setting[] = [];
  const problems: ConfigProblem[] = [];
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    // What follows the key may be a secret, also where the "=" was forgotten.
    const name = equals === -1 ? (/^[\w.]*/.exec(assignment)?.[0] ?? "") : assignment.slice(0, equals);
    const place = `--set ${name}`;
    const key = keys.find((candidate) => candidate.key === name);
    if (equals === -1) problems.push({ source: place, key: name, message: "no value: write --set key=value" });
    else if (key === undefined) problems.push({ source: place, key: name, message: unknownKey(name, keys) });
    else settings.push({ key, value: assignment.slice(equals + 1), place, source: "--set" });
  }
  return { settings, problems };
}

/** Why `name` is no key, and which may have been meant. */
export function unknownKey(name: string, keys: readonly ConfigKey[]): string {
  const sections = sectionsOf(keys);
  if (sections.has(name)) return "this is a section: set one of its keys";
  return withSuggestion(
    "not a key of the configuration",
    nearest(name, [...keys.map(({ key }) => key), ...sections], "."),
  );
}

function withSuggestion(message: string, suggestion: string | undefined): string {
  return suggestion === undefined ? message : `${message}; did you mean ${suggestion}?`;
}
