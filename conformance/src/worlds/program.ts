// A program of this repository whose output the suite searches, and that can be taken down as a part of a world.
import { join } from "node:path";
import { type Part, startProcess } from "@im-gateway/tools/process";
import * as programs from "@im-gateway/tools/program";
import { recordLine } from "../output.ts";
import type { WorldPart } from "../world.ts";

export { freeAddress, freeGateway } from "@im-gateway/tools/program";

const repository: string = join(import.meta.dirname, "../../..");

export interface Program extends programs.Program, WorldPart {}

interface StartOptions {
  /** A file of `configs/`. */
  readonly config?: string;
  /** A folder that goes when the tests are killed. */
  readonly scratch?: string;
}

/**
 * @param command a launcher in `bin/`
 * @param set `key=value` for `--set`
 */
export function createProgram(
  name: string,
  command: string,
  set: readonly string[],
  { holdsSockets, ...options }: StartOptions & { readonly holdsSockets: boolean },
): Program {
  const program = programs.createProgram({
    ...options,
    name,
    command,
    set: ["log.level=debug", ...set],
    onLine: recorded(name),
  });
  return Object.assign(program, { holdsSockets });
}

/** Starts a launcher of `bin/`. */
export function launch(name: string, command: string, set: readonly string[], options: StartOptions = {}): Part {
  return programs.launch({ ...options, name, command, set, onLine: recorded(name) });
}

/** Runs a launcher of `bin/` that ends by itself. */
export async function run(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly output: string }> {
  const part = startProcess({
    name: command,
    command: join(repository, "bin", command),
    args,
    env: programs.plainEnvironment,
    onLine: recorded(command),
  });
  const { code } = await part.exited;
  return { code, output: part.output.join("\n") };
}

/** Runs a launcher of `bin/` that ends by itself, without its stderr. */
export async function stdoutOf(command: string, args: readonly string[]): Promise<readonly string[]> {
  const part = startProcess({
    name: command,
    command: "/bin/sh",
    args: ["-c", 'exec "$0" "$@" 2>/dev/null', join(repository, "bin", command), ...args],
    env: programs.plainEnvironment,
  });
  await part.exited;
  return part.output;
}

function recorded(process: string): (line: string, stream: "stdout" | "stderr") => void {
  return (line, stream) => recordLine({ process, stream, line });
}
