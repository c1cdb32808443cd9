// What the scenarios of gateways and sockets stand on: Kafka, etcd and im-logic run, gateways are started by the scenario.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { installEtcd } from "@im-gateway/tools/etcd";
import { startKafka } from "@im-gateway/tools/kafka";
import { type Exit, startProcess, waitFor } from "@im-gateway/tools/process";
import type { GatewayAddress, Program } from "@im-gateway/tools/program";
import { Kafka, logLevel } from "kafkajs";
import { readLog } from "../evidence.ts";
import type { Context } from "../scenario.ts";
import { isReady, jwtSecret, metric, startWorld } from "../world.ts";

export interface Running {
  readonly id: string;
  /** Of HTTP and WebSocket, on 127.0.0.1. */
  readonly port: number;
  readonly address: GatewayAddress;
  readonly program: Program;
}

export interface StartOptions {
  /** On the ports of one that is gone. */
  readonly at?: Running;
  /** `key=value` for `--set`. */
  readonly set?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Asked {
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  readonly body: unknown;
  readonly tookMs: number;
}

export interface Stage {
  readonly scale: Context["scale"];
  progress(line: string): void;
  /** host:port of im-logic's gRPC. */
  readonly grpcAddr: string;
  /** Of the tokens. */
  readonly secret: string;
  /** Resolves when it says that it listens. */
  start(id: string, options?: StartOptions): Promise<Running>;
  /** SIGTERM, and SIGKILL after the deadline. */
  stop(gateway: Running, deadlineMs: number): Promise<Exit>;
  pause(ms: number): Promise<void>;
  /** GET of a path below /api/v1. */
  ask(port: number, path: string, token: string, timeoutMs: number): Promise<Asked>;
  ready(gateway: Running): Promise<boolean>;
  /** One number of a gateway's metrics, summed over the series whose labels match. */
  metric(gateway: Running, name: string, labels?: string): Promise<number>;
  watchKey(key: string): WatchedKey;
  /** Records of a topic of one partition with a timestamp after this, Unix milliseconds. */
  recordsAfter(topic: string, unixMs: number): Promise<number>;
  /** client_msg_id of every record of `upstream`. */
  upstream(): Promise<readonly string[]>;
}

export interface WatchedKey {
  /** When etcd said that the key was deleted, Unix milliseconds; waits so long for it. */
  deletedMs(timeoutMs: number): Promise<number | undefined>;
}

export async function createStage(context: Context): Promise<Stage> {
  const world = await startWorld(context, { kafka: startKafka(), gateways: 0 });
  const kafka = new Kafka({ clientId: "chaos", brokers: [...world.kafka.brokers], logLevel: logLevel.NOTHING });
  return {
    scale: context.scale,
    progress: context.progress,
    grpcAddr: world.logicGrpc,
    secret: jwtSecret,

    async start(id, { at, set = [], env } = {}) {
      const settings = at && [
        `server.http_addr=${new URL(at.address.http).host}`,
        `metrics.addr=${new URL(at.address.metrics).host}`,
        `internal.addr=${new URL(at.address.internal).host}`,
      ];
      const { address, program } = await world.createGateway(id, {
        settings: set,
        ...(env === undefined ? {} : { env }),
        ...(at === undefined || settings === undefined ? {} : { address: { gateway: at.address, settings } }),
      });
      await program.start();
      return { id, address, program, port: Number(new URL(address.http).port) };
    },

    async stop({ id, program }, deadlineMs) {
      const exit = await program.end(deadlineMs);
      if (exit === undefined) throw new Error(`${id} was not started`);
      return exit;
    },

    pause: (ms) => sleep(ms),

    async ask(port, path, token, timeoutMs) {
      const fromMs = performance.now();
      try {
        const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
          headers: { authorization: `Bearer ${token}` },
          signal: AbortSignal.timeout(timeoutMs),
        });
        return { status: response.status, body: await response.json(), tookMs: performance.now() - fromMs };
      } catch {
        return { status: 0, body: undefined, tookMs: performance.now() - fromMs };
      }
    },

    ready: ({ address }) => isReady(address.http).catch(() => false),
    metric: ({ address }, name, labels) => metric(address.metrics, name, labels),

    watchKey(key) {
      let deletedAtMs: number | undefined;
      const watch = startProcess({
        name: "etcdctl",
        command: join(installEtcd(), "etcdctl"),
        args: ["--endpoints", world.etcd.endpoints.join(","), "watch", key],
        env: { ETCDCTL_API: "3" },
        onLine: (line) => {
          if (line === "DELETE") deletedAtMs ??= Date.now();
        },
      });
      context.defer(async () => void (await watch.kill()));
      return {
        deletedMs: (timeoutMs) =>
          waitFor(() => deletedAtMs, { timeoutMs, what: `${key} to be deleted` }).catch(() => undefined),
      };
    },

    async recordsAfter(topic, unixMs) {
      const admin = kafka.admin();
      await admin.connect();
      try {
        const [end] = await admin.fetchTopicOffsets(topic);
        const [after] = await admin.fetchTopicOffsetsByTimestamp(topic, unixMs + 1);
        return Number(end?.high ?? 0) - Number(after?.offset ?? 0);
      } finally {
        await admin.disconnect();
      }
    },

    upstream: async () => (await readLog(world.kafka.brokers)).map(({ clientMsgId }) => clientMsgId),
  };
}
