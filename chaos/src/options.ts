// The command line of make chaos.
import { parseArgs } from "node:util";
import type { Scenario } from "./scenario.ts";

export interface Options {
  /** None: all scenarios. */
  readonly names: readonly string[];
  readonly short: boolean;
  readonly json: string | undefined;
  readonly logs: string | undefined;
  readonly write: boolean;
  readonly help: boolean;
}

/** `error`: what is wrong with it, for people. */
export type Read = { readonly options: Options } | { readonly error: string };

export function usage(scenarios: readonly Scenario[]): string {
  const own = scenarios.flatMap(({ name, shortPromise }) =>
    shortPromise === undefined ? [] : [`                 ${name}: ${shortPromise}\n`],
  );
  return `make chaos ARGS="[NAME …] …": faults on real parts, and an account of every message
  NAME …       only these: ${scenarios.map(({ name }) => name).join(", ")}
  --short      as make test runs them: less of everything than the title says, held to the same promise, but
${own.join("")}  --json FILE  write the results there as well
  --logs DIR   leave the output of every gateway and im-logic there
  --write      put the results into docs/reliability.md; all scenarios in full only
  --help       this
`;
}

export function readOptions(args: readonly string[], scenarios: readonly Scenario[]): Read {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
  const { values, positionals: names } = parsed;
  const unknown = names.filter((name) => scenarios.every((scenario) => scenario.name !== name));
  if (unknown.length > 0 && !values.help) return { error: `there is no scenario ${unknown.join(", ")}` };
  if (values.write && (values.short || names.length > 0) && !values.help) {
    return { error: "--write needs all scenarios, in full" };
  }
  const { short, write, help, json, logs } = values;
  return { options: { names, short, write, help, json, logs } };
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      json: { type: "string" },
      logs: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
}
