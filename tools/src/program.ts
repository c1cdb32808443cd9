// A program of this repository as a process of its own, on ports that it keeps over restarts.
import { join } from "node:path";
import { freePort } from "./free-port.ts";
import { type Exit, type Part, startProcess } from "./process.ts";

const repository: string = join(import.meta.dirname, "../..");
/** Plain names that a developer may have set, and that a test must not see. */
export const plainEnvironment: Readonly<Record<string, string | undefined>> = {
  APP_ENV: undefined,
  GATEWAY_ID: undefined,
  LOG_LEVEL: undefined,
};
const startTimeoutMs = 30_000;
/** More than `server.drain_timeout`. */
const stopTimeoutMs = 40_000;
const ownPorts: readonly string[] = ["metrics.addr=127.0.0.1:0", "internal.addr=127.0.0.1:0"];

export interface ProgramOptions {
  /** What messages call it. */
  readonly name: string;
  /** A launcher in `bin/`. */
  readonly command: string;
  /** `key=value` for `--set`. */
  readonly set: readonly string[];
  /** A file of `configs/`. */
  readonly config?: string;
  /** A folder that goes when the tests are killed. */
  readonly scratch?: string;
  /** Laid over this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onLine?: (line: string, stream: "stdout" | "stderr") => void;
}

export interface Program {
  readonly name: string;
  /** Of the process that runs now or ran last. */
  readonly pid: number;
  readonly output: readonly string[];
  /** Resolves when it says that it listens. */
  start(): Promise<void>;
  /** As an operator stops it: SIGTERM, and it has to end with 0. */
  stop(): Promise<void>;
  /** SIGTERM, or SIGKILL after `deadlineMs`: however it ends. */
  end(deadlineMs?: number): Promise<Exit | undefined>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Ends it as an operator would (`stop`) or as a power cut would (`kill`), and starts it again. */
  restart(how: "stop" | "kill"): Promise<void>;
  /** It keeps its sockets and answers nothing, until `thaw`. */
  freeze(): void;
  thaw(): void;
}

export function createProgram(options: ProgramOptions): Program {
  const { name } = options;
  let part: Part | undefined;

  const start = async (): Promise<void> => {
    part = launch(options);
    await part.waitForLine(/"message":"listening"/, startTimeoutMs);
  };
  const stop = async (): Promise<void> => {
    const exit = await part?.stop(stopTimeoutMs);
    if (exit !== undefined && exit.code !== 0) {
      throw new Error(`${name} ended with ${JSON.stringify(exit)} after SIGTERM:\n${part?.output.join("\n")}`);
    }
  };
  const kill = async (): Promise<void> => {
    await part?.kill();
  };

  return {
    name,
    get pid() {
      if (part === undefined) throw new Error(`${name} was not started`);
      return part.pid;
    },
    get output() {
      return part?.output ?? [];
    },
    start,
    stop,
    end: async (deadlineMs) => part?.stop(deadlineMs),
    kill,
    async restart(how) {
      await (how === "stop" ? stop() : kill());
      await start();
    },
    freeze: () => part?.freeze(),
    thaw: () => part?.thaw(),
  };
}

/** Starts a launcher of `bin/` with `serve`. */
export function launch({ command, set, config, ...options }: ProgramOptions): Part {
  const args = [
    "serve",
    ...(config === undefined ? [] : ["--config", join(repository, "configs", config)]),
    // Its default ports are some for the machine, not for a test.
    ...[...(command === "im-logic" ? [] : ownPorts), ...set].flatMap((one) => ["--set", one]),
  ];
  return startProcess({
    ...options,
    command: join(repository, "bin", command),
    args,
    env: { ...plainEnvironment, ...options.env },
  });
}

/** Where a gateway is reached; it stays over restarts. */
export interface GatewayAddress {
  /** `http://127.0.0.1:port` */
  readonly http: string;
  /** `ws://127.0.0.1:port/ws` */
  readonly ws: string;
  /** Where it is scraped. */
  readonly metrics: string;
  /** The port for back ends: `http://127.0.0.1:port` */
  readonly internal: string;
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

export async function freeAddress(): Promise<string> {
  return `127.0.0.1:${await freePort()}`;
}
