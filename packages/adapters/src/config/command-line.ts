// The command line of both programs.
import { parseArgs } from "node:util";
import { nearest } from "./nearest.ts";

/** What a program offers. */
export interface CommandLine<Command extends string> {
  /** As people type it: "im-gateway". */
  readonly name: string;
  /** A sentence on what the program is. */
  readonly summary: string;
  /** Each command with what it does. */
  readonly commands: Readonly<Record<Command, string>>;
  readonly defaultCommand: NoInfer<Command>;
}

/** What somebody asked for. */
export type Invocation<Command extends string> =
  | {
      readonly kind: "run";
      readonly command: Command;
      /** The path of `--config`. */
      readonly configFile?: string;
      /** The `key=value` of each `--set`, in order. */
      readonly set: readonly string[];
    }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  /** `message` is for stderr, and says what would be right. */
  | { readonly kind: "mistake"; readonly message: string };

/** What a program ends with. */
export const exitCodes: { readonly ended: 0; readonly failed: 1; readonly badUsage: 2 } = {
  /** As asked. */
  ended: 0,
  /** While running. */
  failed: 1,
  /** Of the command line or the configuration. */
  badUsage: 2,
};

const options = {
  config: { type: "string", usage: "--config FILE", about: "read this YAML file" },
  set: { type: "string", usage: "--set KEY=VALUE", about: "set a key; repeatable, lists with commas" },
  help: { type: "boolean", usage: "--help", about: "show this text" },
  version: { type: "boolean", usage: "--version", about: "show the version" },
} as const;

/** Reads the arguments behind the program's name. */
export function parseCommandLine<Command extends string>(
  argv: readonly string[],
  program: CommandLine<Command>,
): Invocation<Command> {
  const isCommand = (word: string): word is Command => Object.hasOwn(program.commands, word);
  const commands: Command[] = [];
  const files: string[] = [];
  const set: string[] = [];
  const flags = new Set<string>();
  const mistakes: string[] = [];

  // Not strict: its own messages differ between runtimes, and it stops at the first mistake.
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === "positional") {
      if (isCommand(token.value)) commands.push(token.value);
      else mistakes.push(unknown("command", token.value, Object.keys(program.commands)));
    } else if (token.kind === "option") {
      const { name, rawName, value } = token;
      const option = Object.entries(options).find(([known]) => known === name)?.[1];
      const wantsValue = option?.type === "string";
      const missing = value === undefined || value === "" || (!token.inlineValue && value.startsWith("--"));
      if (option === undefined)
        mistakes.push(
          unknown(
            "option",
            rawName,
            Object.keys(options).map((known) => `--${known}`),
          ),
        );
      else if (wantsValue && missing) mistakes.push(`${rawName} wants a value: ${option.usage}`);
      else if (!wantsValue && value !== undefined) mistakes.push(`${rawName} takes no value`);
      else if (name === "config" && value !== undefined) files.push(value);
      else if (name === "set" && value !== undefined) set.push(value);
      else flags.add(name);
    }
  }
  if (commands.length > 1) mistakes.push(`one command at a time, not ${commands.join(" and ")}`);
  if (files.length > 1) mistakes.push("--config can be given only once");

  if (flags.has("help")) return { kind: "help", text: helpText(program) };
  if (mistakes.length > 0) {
    const lines = mistakes.map((mistake) => `${program.name}: ${mistake}`);
    return { kind: "mistake", message: [...lines, `See ${program.name} --help.`].join("\n") };
  }
  if (flags.has("version")) return { kind: "version" };
  const [configFile] = files;
  const command = commands[0] ?? program.defaultCommand;
  return { kind: "run", command, set, ...(configFile === undefined ? {} : { configFile }) };
}

function unknown(what: string, given: string, names: readonly string[]): string {
  const suggestion = nearest(given, names, " ");
  return `unknown ${what} ${given}${suggestion === undefined ? "" : `; did you mean ${suggestion}?`}`;
}

function helpText<Command extends string>({ name, summary, commands, defaultCommand }: CommandLine<Command>): string {
  const commandRows = Object.entries<string>(commands).map(([command, about]): [string, string] => [
    command,
    command === defaultCommand ? `${about} (the default)` : about,
  ]);
  const optionRows = Object.values(options).map(({ usage, about }): [string, string] => [usage, about]);
  const width = Math.max(...[...commandRows, ...optionRows].map(([left]) => left.length));
  const table = (rows: readonly [string, string][]) => rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [
    `${name}: ${summary}`,
    "",
    `Usage: ${name} [COMMAND] [OPTION]...`,
    "",
    "Commands",
    ...table(commandRows),
    "",
    "Options",
    ...table(optionRows),
    "",
    "Each key can be set in the file, in the environment (log.level is IM__LOG__LEVEL) and by --set;",
    "each of these wins over those before it.",
    "",
    "Exit code: 0 ended as asked, 1 failed while running, 2 wrong usage or configuration.",
  ].join("\n");
}
