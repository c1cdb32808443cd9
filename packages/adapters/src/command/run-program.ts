// A program from its arguments to its exit code (CONTRACT §7): 0 ended as asked, 1 failed while running, 2 bad usage or configuration.
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ConfigError,
  type ConfigSchema,
  type ConfigSources,
  effectiveValues,
  exitCodes,
  loadConfig,
  parseCommandLine,
  printConfig,
  readConfigFile,
} from "../config/index.ts";
import { escapeControls } from "../log/control-characters.ts";
import { plainError } from "../log/plain-error.ts";

export interface Program<T> {
  /** As people type it. */
  readonly name: string;
  /** A sentence on what it is. */
  readonly summary: string;
  readonly version: string;
  readonly config: ConfigSchema<T>;
  /**
   * Runs until `stop` aborts, then resolves once everything has ended in order; rejects when it can not go on. A second signal ends the
   * process without waiting for it.
   * @param requestStop aborts `stop`, as often as it is called, and is not one of the two signals
   */
  readonly serve: (config: T, stop: AbortSignal, requestStop: () => void) => Promise<void>;
}

/** Never returns: it ends the process. */
export async function runProgram<T>(program: Program<T>): Promise<never> {
  const { name, summary, version } = program;
  const invocation = parseCommandLine(process.argv.slice(2), {
    name,
    summary,
    commands: {
      serve: "run until SIGTERM or SIGINT",
      "check-config": "say whether the configuration is good, or every mistake in it",
      "print-config": "show every key with its value and where that comes from, secrets masked",
    },
    defaultCommand: "serve",
  });
  switch (invocation.kind) {
    case "help":
      process.stdout.write(`${invocation.text}\n`);
      process.exit(exitCodes.ended);
      break;
    case "version":
      process.stdout.write(`${version}\n`);
      process.exit(exitCodes.ended);
      break;
    case "mistake":
      process.stderr.write(`${invocation.message}\n`);
      process.exit(exitCodes.badUsage);
      break;
    case "run":
      break;
  }
  let config: T;
  try {
    const file = invocation.configFile === undefined ? {} : { file: await readConfigFile(invocation.configFile) };
    const sources: ConfigSources = { ...file, env: process.env, set: invocation.set };
    config = loadConfig(program.config, sources);
    if (invocation.command === "check-config") {
      process.stdout.write("The configuration is good.\n");
      process.exit(exitCodes.ended);
    }
    if (invocation.command === "print-config") {
      process.stdout.write(printConfig(effectiveValues(program.config, sources)));
      process.exit(exitCodes.ended);
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) {
      throw error;
    }
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(exitCodes.badUsage);
  }
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    // By itself a runtime prints all that the error holds.
    process.on(event, (thrown: unknown) => {
      const shown = thrown instanceof Error ? plainError(thrown, true) : String(thrown);
      process.stderr.write(`${name}: ended by a bug: ${escapeControls(JSON.stringify(shown))}\n`);
      process.exit(exitCodes.failed);
    });
  }
  const stopping = new AbortController();
  const stop = stopping.signal;
  const requestStop = (): void => stopping.abort();
  stopOnSignal(name, requestStop);
  try {
    await program.serve(config, stop, requestStop);
    process.exit(exitCodes.ended);
  } catch (error) {
    if (stop.aborted && error instanceof ConnectError && error.code === Code.Canceled) {
      // It was told to stop while it still waited for a part.
      process.exit(exitCodes.ended);
    }
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${name}: ${escapeControls(message)}\n`);
    process.exit(exitCodes.failed);
  }
}

function stopOnSignal(name: string, requestStop: () => void): void {
  let signalled = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (signalled) {
        process.stderr.write(`${name}: second signal, ending at once\n`);
        process.exit(exitCodes.failed);
      }
      signalled = true;
      requestStop();
    });
  }
}
