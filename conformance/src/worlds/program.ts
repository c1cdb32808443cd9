// A program of this repository as a process of its own, on a port that it keeps over restarts.
import { join } from "node:path";
import { freePort, type Part, startProcess } from "@im-gateway/tools/process";
import { recordLine } from "../output.ts";
import type { GatewayAddress, WorldPart } from "../world.ts";

const repository: string = join(import.meta.dirname, "../../..");
/** Plain names that a developer may have set, and that a test must not see. */
const plainEnvironment = { APP_ENV: undefined, GATEWAY_ID: undefined, LOG_LEVEL: undefined };
const startTimeoutMs = 30_000;
const ownPorts: readonly string[] = ["metrics.addr=127.0.0.1:0", "internal.addr=127.0.0.1:0"];

export interface Program extends WorldPart {
  readonly output: readonly string[];
  start(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** It keeps its sockets and answers nothing, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

/**
 * @param command a launcher in `bin/`
 * @param set `key=value` for `--set`
 */
export function createProgram(
  name: string,
  command: string,
  set: readonly string[],
  options: { readonly holdsSockets: boolean; readonly config?: string; readonly scratch?: string },
): Program {
  let part: Part | undefined;

  const begin = async (): Promise<void> => {
    part = launch(name, command, ["log.level=debug", ...set], options);
    await part.waitForLine(/"message":"listening"/, startTimeoutMs);
  };

  /** As an operator stops it: SIGTERM, and it has to end with 0. */
  const stop = async (): Promise<void> => {
    const exit = await part?.stop();
    if (exit !== undefined && exit.code !== 0) {
      throw new Error(`${name} ended with ${JSON.stringify(exit)} after SIGTERM:\n${part?.output.join("\n")}`);
    }
  };

  const kill = async (): Promise<void> => {
    await part?.kill();
  };

  return {
    name,
    holdsSockets: options.holdsSockets,
    get output() {
      return part?.output ?? [];
    },
    start: begin,
    stop,
    kill,
    freeze: () => part?.freeze(),
    thaw: () => part?.thaw(),
    async restart(how) {
      await (how === "stop" ? stop() : kill());
      await begin();
    },
  };
}

/** Starts a launcher of `bin/`. `config`: a file of `configs/`; `scratch`: a folder that goes when the tests are killed. */
export function launch(
  name: string,
  command: string,
  set: readonly string[],
  { config, scratch }: { readonly config?: string; readonly scratch?: string } = {},
): Part {
  const args = [
    "serve",
    ...(config === undefined ? [] : ["--config", join(repository, "configs", config)]),
    // Its default ports are some for the machine, not for a test.
    ...[...(command === "im-logic" ? [] : ownPorts), ...set].flatMap((one) => ["--set", one]),
  ];
  return start(name, command, args, scratch);
}

/** Addresses for a gateway that is still to start, and what makes it open them. */
export async function freeGateway(): Promise<{
  readonly gateway: GatewayAddress;
  readonly settings: readonly string[];
}> {
  const [http, metrics, internal] = await Promise.all([freeAddress(), freeAddress(), freeAddress()]);
  return {
    gateway: {
      http: `http://${http}`,
      ws: `ws://${http}/ws`,
      metrics: `http://${metrics}/metrics`,
      internal: `http://${internal}`,
    },
    settings: [`server.http_addr=${http}`, `metrics.addr=${metrics}`, `internal.addr=${internal}`],
  };
}

/** Runs a launcher of `bin/` that ends by itself. */
export async function run(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly output: string }> {
  const part = start(command, command, args);
  const { code } = await part.exited;
  return { code, output: part.output.join("\n") };
}

/** Runs a launcher of `bin/` that ends by itself, without its stderr. */
export async function stdoutOf(command: string, args: readonly string[]): Promise<readonly string[]> {
  const part = startProcess({
    name: command,
    command: "/bin/sh",
    args: ["-c", 'exec "$0" "$@" 2>/dev/null', join(repository, "bin", command), ...args],
    env: plainEnvironment,
  });
  await part.exited;
  return part.output;
}

function start(name: string, command: string, args: readonly string[], scratch?: string): Part {
  return startProcess({
    name,
    command: join(repository, "bin", command),
    args,
    env: plainEnvironment,
    onLine: (line, stream) => recordLine({ process: name, stream, line }),
    ...(scratch === undefined ? {} : { scratch }),
  });
}

export async function freeAddress(): Promise<string> {
  return `127.0.0.1:${await freePort()}`;
}
