// The `im-logic` command: the reference im-logic as a service of its own, with gRPC, Kafka and etcd.
import { randomBytes, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import {
  aborted,
  advertisedAddress,
  createBus,
  createRegistry,
  logFormat,
  opened,
  runProgram,
  sharedTopics,
  tokenOptions,
  whenReady,
} from "@im-gateway/adapters/command";
import { formatAddress, type LogicConfig, logicConfig } from "@im-gateway/adapters/config";
import { createLogger } from "@im-gateway/adapters/log";
import { createServiceMetrics } from "@im-gateway/adapters/metrics";
import type { Registration } from "@im-gateway/core";
import manifest from "../package.json" with { type: "json" };
import { createGrpcServer } from "./grpc-server.ts";
import { createHealthServer } from "./health-server.ts";
import { createLogic } from "./logic.ts";

const { version } = manifest;

/** How long calls that run may go on after SIGTERM. */
const graceMs = 5000;

await runProgram({
  name: "im-logic",
  summary: "the reference im-logic: accounts, conversations and messages on SQLite, behind gRPC and Kafka",
  version,
  config: logicConfig,
  serve,
});

async function serve(config: LogicConfig, stop: AbortSignal): Promise<void> {
  const { jwt, dataDir } = config;
  const id = `im-logic-${hostname()}-${randomBytes(4).toString("hex")}`;
  const instance = randomUUID();
  const logger = createLogger({
    level: config.log.level,
    format: logFormat(config, process.stdout.isTTY),
    fields: { logic_id: id },
  });
  const log = logger.module("server");
  const bus = createBus(config.kafka, logger.module("kafka"))(id);
  const registry = createRegistry(config.coordinator, logger.module("etcd"));
  const logic = createLogic({
    ...bus,
    dataDir,
    jwt: tokenOptions(jwt),
    topics: sharedTopics(config.kafka),
    // Without etcd the registry is this process alone: every gateway would look dead.
    ...(config.coordinator === undefined ? {} : { registry }),
    log: logger.module("im-logic"),
  });
  let registration: Registration | undefined;
  const unready = (): readonly string[] => [
    ...(logic.ready ? [] : ["kafka: upstream and user-events are not being consumed"]),
    ...(registration === undefined ? ["etcd: not registered"] : []),
  ];
  const serving = createGrpcServer({ routes: logic.routes, addr: config.grpcAddr, log: logger.module("grpc") });
  const grpc = await opened("grpc_addr", serving);
  const healthServing = createHealthServer({
    instance,
    version,
    unready,
    metrics: createServiceMetrics({
      prefix: "im_logic_",
      version,
      runtime: `node ${process.versions.node}`,
      counts: () => ({ ...logic.counts }),
      unready,
    }),
    log: logger.module("http"),
    addr: config.httpAddr,
  });
  const health = await opened("http_addr", healthServing);

  const consuming = new AbortController();
  const failed = new AbortController();
  const over = AbortSignal.any([stop, failed.signal]);
  const running = logic.run(consuming.signal).catch((error: unknown) => failed.abort(error));
  // From now on, so that it says what it waits for also while the registry is away.
  const ready = whenReady(unready, over, log);
  try {
    const { address, port } = advertisedAddress(grpc.address, config.advertiseAddr);
    registration = await registry.register({ id, name: "im-logic", address, port, metadata: { instance } }, over);
    void registration.lost.then(() => failed.abort(new Error(`another process holds the key of ${id}`)));
    if (await ready) {
      log("info", "listening", { grpc_addr: formatAddress(grpc.address), http_addr: formatAddress(health.address) });
      await aborted(over);
    }
  } finally {
    log("info", "draining");
    await registration?.release();
    await grpc.close(graceMs);
    consuming.abort();
    await running;
    await bus.producer.close();
    logic.close();
    await registry.close();
    await health.close();
    log("info", "ended");
  }
  failed.signal.throwIfAborted();
}
