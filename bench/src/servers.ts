// The two servers that are compared, each as a process of its own on a real Kafka.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Part, startProcess } from "@im-gateway/tools/process";
import type { ControlOptions } from "./control.ts";

/** Launchers of `bin/`. */
export const gateways = ["im-gateway", "im-gateway-bun"] as const;
export type GatewayName = (typeof gateways)[number];
export type ServerName = GatewayName | "control";

export interface ServerOptions {
  readonly brokers: readonly string[];
  /** Of the tokens, HS256. */
  readonly secret: string;
  /** One life of a server: nobody else has used its topics. */
  readonly id: string;
  /** Where Node's `--cpu-prof` leaves its profile at the end; default: no profile. */
  readonly profileFolder?: string;
}

export interface Server {
  readonly pid: number;
  /** Of its WebSocket on 127.0.0.1. */
  readonly port: number;
  stop(): Promise<void>;
}

export const upstreamTopic = "upstream";
export const userEventsTopic = "user-events";
/** The gateway's default. */
export const sharedPartitions = 6;

const repository: string = join(import.meta.dirname, "../..");
const startTimeoutMs = 30_000;

/** The topic, of one partition as CONTRACT §5 has it, that the server with this id consumes. */
export function downstreamTopic(id: string): string {
  return `downstream-${id}`;
}

/** Resolves when it takes connections; its topics have to be there. */
export function startServer(name: ServerName, options: ServerOptions): Promise<Server> {
  return name === "control" ? startControl(options) : startGateway(name, options);
}

async function startGateway(name: GatewayName, { brokers, secret, id, profileFolder }: ServerOptions): Promise<Server> {
  // A connection to im-logic is a part of being ready; nothing here asks it anything.
  const logic = createServer();
  await new Promise<void>((resolve) => logic.listen(0, "127.0.0.1", resolve));
  const { port } = logic.address() as AddressInfo;
  const settings = [
    `gateway_id=${id}`,
    "server.http_addr=127.0.0.1:0",
    "metrics.addr=127.0.0.1:0",
    "internal.addr=127.0.0.1:0",
    "internal.addr=127.0.0.1:0",
    `jwt.secret=${secret}`,
    `kafka.brokers=${brokers.join(",")}`,
    `grpc.logic.direct_addr=127.0.0.1:${port}`,
  ];
  const part = startProcess({
    name,
    command: join(repository, "bin", name),
    args: ["serve", ...settings.flatMap((setting) => ["--set", setting])],
    env: { APP_ENV: undefined, GATEWAY_ID: undefined, LOG_LEVEL: undefined, NODE_OPTIONS: profiling(profileFolder) },
  });
  const server = await listening(part, /"message":"listening".*"http_addr":"127\.0\.0\.1:(\d+)"/);
  return {
    ...server,
    async stop() {
      await server.stop();
      logic.close();
    },
  };
}

function startControl({ brokers, secret, id, profileFolder }: ServerOptions): Promise<Server> {
  const options: ControlOptions = {
    brokers,
    secret,
    downstream: downstreamTopic(id),
    upstream: upstreamTopic,
    partitions: sharedPartitions,
  };
  const part = startProcess({
    name: "control",
    command: process.execPath,
    args: [
      "--disable-warning=TimeoutNegativeWarning",
      join(import.meta.dirname, "control.ts"),
      JSON.stringify(options),
    ],
    env: { NODE_OPTIONS: profiling(profileFolder) },
  });
  return listening(part, /^listening (\d+)$/);
}

function profiling(folder: string | undefined): string | undefined {
  return folder === undefined ? undefined : `--cpu-prof --cpu-prof-dir=${folder}`;
}

async function listening(part: Part, line: RegExp): Promise<Server> {
  try {
    const [, port] = line.exec(await part.waitForLine(line, startTimeoutMs)) ?? [];
    return {
      pid: part.pid,
      port: Number(port),
      async stop() {
        await part.stop();
      },
    };
  } catch (error) {
    await part.kill();
    throw error;
  }
}
