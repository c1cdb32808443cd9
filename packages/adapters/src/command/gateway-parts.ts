// What a gateway's process is made of, by its configuration: real parts where a section names them, embedded ones elsewhere.
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import type { Registry } from "@im-gateway/core";
import type { GatewayConfig, LogicClientConfig } from "../config/index.ts";
import { createEndpoints, createGrpcTransport, fixedEndpoints } from "../grpc/index.ts";
import type { Logger } from "../log/index.ts";
import { type Bus, createBus, type SharedTopics, sharedTopics } from "./bus.ts";
import type { CreateEmbeddedLogic, EmbeddedLogic } from "./embedded-logic.ts";
import { createRegistry } from "./registry.ts";
import { tokenOptions } from "./token-options.ts";

/** im-logic as the gateway reaches it. */
interface LogicLink {
  readonly transport: Transport;
  /** Present when it runs in this process. */
  readonly embedded: EmbeddedLogic | undefined;
  unready(): readonly string[];
  close(): Promise<void>;
}

export interface GatewayParts extends Bus, Pick<LogicLink, "transport" | "embedded"> {
  readonly registry: Registry;
  readonly topics: SharedTopics;
  /** What the parts still wait for. */
  unready(): readonly string[];
  /** After the gateway has drained. */
  close(): Promise<void>;
}

export function createGatewayParts(
  config: GatewayConfig,
  logger: Logger,
  createLogic: CreateEmbeddedLogic,
): GatewayParts {
  const topics = sharedTopics(config.kafka);
  const connect = createBus(config.kafka, logger.module("kafka"));
  const { producer, consumer, removeTopic } = connect(config.gatewayId);
  const registry = createRegistry(config.coordinator, logger.module("etcd"));
  const { transport, embedded, unready, close } =
    config.grpc.logic === undefined
      ? embeddedLogic(config, connect("im-logic"), topics, registry, logger, createLogic)
      : remoteLogic(config.grpc.logic, config.coordinator === undefined ? undefined : registry, logger);

  return {
    producer,
    consumer,
    removeTopic,
    registry,
    transport,
    embedded,
    topics,
    unready,
    async close() {
      await close();
      await registry.close();
    },
  };
}

function embeddedLogic(
  { jwt, dataDir, kafka, coordinator }: GatewayConfig,
  { producer, consumer, removeTopic }: Bus,
  topics: SharedTopics,
  registry: Registry,
  logger: Logger,
  createLogic: CreateEmbeddedLogic,
): LogicLink {
  const log = logger.module("im-logic");
  const logic = createLogic({
    jwt: tokenOptions(jwt),
    producer,
    consumer,
    removeTopic,
    topics,
    log,
    // With Kafka but without etcd there may be gateways that this process's registry knows nothing of.
    ...(kafka !== undefined && coordinator === undefined ? {} : { registry }),
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  const closing = new AbortController();
  const running = logic.run(closing.signal).catch((error: unknown) => {
    log("error", "the embedded im-logic has ended", { error });
  });
  return {
    transport: createRouterTransport(logic.routes),
    embedded: logic,
    unready: () => (logic.ready ? [] : ["im-logic: the embedded one does not consume its topics yet"]),
    async close() {
      closing.abort();
      await running;
      await producer.close();
      logic.close();
    },
  };
}

function remoteLogic(
  { serviceName, directAddr, timeoutMs }: LogicClientConfig,
  registry: Registry | undefined,
  logger: Logger,
): LogicLink {
  const log = logger.module("grpc");
  const direct = directAddr === undefined ? undefined : { address: directAddr.host, port: directAddr.port };
  const discovered =
    registry === undefined
      ? undefined
      : createEndpoints({ registry, serviceName, log, ...(direct === undefined ? {} : { fallback: direct }) });
  const endpoints = discovered ?? fixedEndpoints(direct === undefined ? [] : [direct]);
  const transport = createGrpcTransport({ endpoints, timeoutMs, log });
  return {
    transport,
    embedded: undefined,
    unready() {
      if (transport.isConnected()) {
        return [];
      }
      const known = endpoints.current().map(({ address, port }) => `${address}:${port}`);
      return [
        `im-logic: ${known.length === 0 ? `no ${serviceName} is registered` : `no connection to ${known.join(", ")}`}`,
      ];
    },
    async close() {
      transport.close();
      await discovered?.close();
    },
  };
}
