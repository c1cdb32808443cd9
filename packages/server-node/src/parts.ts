// What a gateway's process is made of, by its configuration: real parts where a section names them, embedded ones elsewhere.

import { createRouterTransport, type Transport } from "@connectrpc/connect";
import type { GatewayConfig, LogicClientConfig, TopicsConfig } from "@im-gateway/adapters/config";
import { createEtcdRegistry } from "@im-gateway/adapters/etcd";
import { createEndpoints, createGrpcTransport, fixedEndpoints } from "@im-gateway/adapters/grpc";
import { createKafka } from "@im-gateway/adapters/kafka";
import type { Logger } from "@im-gateway/adapters/log";
import type { Consumer, Producer, Registry, Topic } from "@im-gateway/core";
import { createMemoryBus, createMemoryRegistry } from "@im-gateway/core/memory";
import { createLogic, type Logic } from "@im-gateway/logic";

/** The producer and the consumer of one part of the process. */
interface Bus {
  readonly producer: Producer;
  readonly consumer: Consumer;
  ensureTopics(topics: readonly Topic[], signal: AbortSignal): Promise<void>;
}

/** im-logic as the gateway reaches it. */
interface LogicLink {
  readonly transport: Transport;
  /** Present when it runs in this process. */
  readonly embedded: Logic | undefined;
  unready(): readonly string[];
  close(): Promise<void>;
}

export interface Parts {
  readonly producer: Producer;
  readonly consumer: Consumer;
  readonly registry: Registry;
  readonly transport: Transport;
  readonly topics: TopicsConfig;
  /** Present when im-logic runs in this process. */
  readonly logic: Logic | undefined;
  unready(): readonly string[];
  /** After the gateway has drained. */
  close(): Promise<void>;
}

/** Without a `kafka` section topics have their default names. */
const defaultTopics: TopicsConfig = {
  upstream: "upstream",
  downstreamPrefix: "downstream-",
  userEvents: "user-events",
  deadLetter: "dead-letter",
};
const defaultPartitions = 6;

export function createParts(config: GatewayConfig, logger: Logger): Parts {
  const topics = config.kafka?.topics ?? defaultTopics;
  const partitions = config.kafka?.partitions ?? defaultPartitions;
  const shared: readonly Topic[] = [
    { name: topics.upstream, partitions },
    { name: topics.userEvents, partitions },
  ];
  const connect = busOf(config, logger);
  const registry = registryOf(config, logger);
  const bus = connect(config.gatewayId);
  const link =
    config.grpc.logic === undefined
      ? embeddedLogic(config, connect("im-logic"), shared, topics.downstreamPrefix, logger)
      : remoteLogic(config.grpc.logic, config.coordinator === undefined ? undefined : registry, logger);

  const closing = new AbortController();
  const log = logger.module("kafka");
  const ensured = bus.ensureTopics(shared, closing.signal).catch((error: unknown) => {
    if (!closing.signal.aborted) {
      log("error", "the shared topics can not be created", { error });
    }
  });

  return {
    producer: bus.producer,
    consumer: bus.consumer,
    registry,
    transport: link.transport,
    topics,
    logic: link.embedded,
    unready: link.unready,
    async close() {
      closing.abort();
      await ensured;
      await link.close();
      await registry.close();
    },
  };
}

function busOf(config: GatewayConfig, logger: Logger): (clientId: string) => Bus {
  const { kafka } = config;
  if (kafka === undefined) {
    const bus = createMemoryBus({ log: logger.module("memory") });
    return () => bus.connect();
  }
  const { brokers, publishTimeoutMs, replicationFactor } = kafka;
  return (clientId) =>
    createKafka({
      brokers,
      clientId,
      publishTimeoutMs,
      log: logger.module("kafka"),
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
    });
}

function registryOf({ coordinator }: GatewayConfig, logger: Logger): Registry {
  return coordinator === undefined
    ? createMemoryRegistry()
    : createEtcdRegistry({ ...coordinator, log: logger.module("etcd") });
}

function embeddedLogic(
  { jwt, dataDir }: GatewayConfig,
  bus: Bus,
  [upstream, userEvents]: readonly Topic[],
  downstreamPrefix: string,
  logger: Logger,
): LogicLink {
  if (upstream === undefined || userEvents === undefined) {
    throw new Error("im-logic needs two topics");
  }
  const log = logger.module("im-logic");
  const logic = createLogic({
    jwt: {
      secret: jwt.secret,
      ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
      accessTokenTtlMs: jwt.accessTokenExpireMs,
      refreshTokenTtlMs: jwt.refreshTokenExpireMs,
    },
    producer: bus.producer,
    consumer: bus.consumer,
    topics: { upstream, userEvents, downstreamPrefix },
    log,
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
      await bus.producer.close();
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
    unready: () => (endpoints.current().length > 0 ? [] : [`im-logic: no ${serviceName} is registered`]),
    async close() {
      transport.close();
      await discovered?.close();
    },
  };
}
