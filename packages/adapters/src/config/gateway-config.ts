// What the gateway can be told.
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import * as v from "valibot";
import { type ConfigSchema, configSchema, key, type OptionalSection, optionalKey, type Section } from "./keys.ts";
import * as production from "./production.ts";
import type { AppEnv, CoordinatorConfig, JwtConfig, KafkaConfig, LogConfig, RedisConfig } from "./shared-sections.ts";
import * as shared from "./shared-sections.ts";
import {
  type Address,
  bytes,
  canBothListen,
  dialAddress,
  duration,
  integer,
  isLoopback,
  listenAddress,
  name,
  queryKeys,
  text,
  urlPath,
} from "./values.ts";

export interface GatewayConfig {
  readonly gatewayId: string;
  /** No source set the id: this start made it, and none will have it again. */
  readonly madeUpId: boolean;
  readonly appEnv: AppEnv;
  readonly server: ServerConfig;
  readonly websocket: WebSocketConfig;
  readonly limits: LimitsConfig;
  readonly jwt: JwtConfig;
  readonly grpc: {
    /** Absent: im-logic is embedded. */
    readonly logic?: LogicClientConfig | undefined;
  };
  /** Absent: records stay in the process. */
  readonly kafka?: KafkaConfig | undefined;
  /** Absent: the gateway knows only itself. */
  readonly coordinator?: CoordinatorConfig | undefined;
  readonly metrics: { readonly addr: Address };
  readonly internal: InternalConfig;
  readonly redis?: RedisConfig | undefined;
  readonly log: LogConfig;
  /** Where the embedded im-logic has its database; absent: in memory. */
  readonly dataDir?: string | undefined;
}

export interface ServerConfig {
  readonly httpAddr: Address;
  readonly advertiseAddr?: Address | undefined;
  readonly wsPath: string;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly maxBodyBytes: number;
  readonly allowedQueryKeys?: readonly string[] | undefined;
}

export interface WebSocketConfig {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly authTimeoutMs: number;
  readonly maxFrameBytes: number;
  readonly sendBufferBytes: number;
  readonly resumeWindowMs: number;
}

export interface LimitsConfig {
  readonly acceptRate: number;
  readonly maxConnections: number;
  readonly maxUnauthenticated: number;
  readonly messagesPerSecond: number;
  readonly bufferedBytes: number;
  readonly memoryBytes: number;
}

/** With a coordinator im-logic is found by its name there, and `directAddr` is the fallback. */
export interface LogicClientConfig {
  readonly serviceName: string;
  readonly directAddr?: Address | undefined;
  readonly timeoutMs: number;
}

export interface InternalConfig {
  readonly addr: Address;
  readonly advertiseAddr?: Address | undefined;
  readonly token?: string | undefined;
}

const server: Section<ServerConfig> = v.optional(
  v.strictObject({
    httpAddr: key("http_addr", listenAddress(), ":8080", "Where clients connect, over HTTP and WebSocket"),
    advertiseAddr: optionalKey(
      "advertise_addr",
      dialAddress(),
      "The address of this gateway in the registry; default: http_addr's port at this machine's address",
    ),
    wsPath: key("ws_path", urlPath(), "/ws", "The path of the WebSocket"),
    readTimeoutMs: key("read_timeout", duration(), "30s", "How long a client may take to send a request"),
    writeTimeoutMs: key("write_timeout", duration(), "30s", "How long the answer to a request may take"),
    drainTimeoutMs: key(
      "drain_timeout",
      duration({ min: 0 }),
      "30s",
      "The time in which clients are moved away at a stop",
    ),
    maxBodyBytes: key("max_body_bytes", bytes(), "1MiB", "The largest body of a request"),
    allowedQueryKeys: optionalKey(
      "allowed_query_keys",
      queryKeys(),
      "Query parameters that are passed over though no method has them, as trackers add them to URLs; default: none",
    ),
  }),
  {},
);

const websocket: Section<WebSocketConfig> = v.optional(
  v.strictObject({
    heartbeatIntervalMs: key(
      "heartbeat_interval",
      duration(),
      "25s",
      "The pause after which a silent client is pinged",
    ),
    heartbeatTimeoutMs: key("heartbeat_timeout", duration(), "10s", "How long a pinged client may stay silent"),
    authTimeoutMs: key("auth_timeout", duration(), "10s", "How long a client may take to send its token in a frame"),
    maxFrameBytes: key("max_frame_bytes", bytes(), "64KiB", "The largest frame of a client"),
    sendBufferBytes: key("send_buffer_bytes", bytes(), "1MiB", "What may wait for a slow client before it is closed"),
    resumeWindowMs: key(
      "resume_window",
      duration({ min: 0 }),
      "60s",
      "How long records are kept for a user whose last connection went, or while a gateway that has just started waits for its users; 0 keeps none",
    ),
  }),
  {},
);

const limits: Section<LimitsConfig> = v.optional(
  v.strictObject({
    acceptRate: key(
      "accept_rate",
      integer({ min: 1, max: 100_000 }),
      "1000",
      "New sockets a second, twice as many at once; others are refused 503 with a hint",
    ),
    maxConnections: key(
      "max_connections",
      integer({ min: 1, max: 10_000_000 }),
      "100000",
      "Sockets that may be open; others are refused 503 with a hint",
    ),
    maxUnauthenticated: key(
      "unauthenticated_connections",
      integer({ min: 1, max: 10_000_000 }),
      "2000",
      "Sockets that may be open without having said who they are",
    ),
    messagesPerSecond: key(
      "messages_per_second",
      integer({ min: 0, max: 10_000_000 }),
      "0",
      "Messages of clients a second, half as many at once; others are refused 429 with a hint; 0: no limit",
    ),
    bufferedBytes: key(
      "buffered_bytes",
      bytes({ max: 2 ** 40 }),
      "256MiB",
      "What may wait for slow clients, all together; past it the fullest sockets are closed 4008",
    ),
    memoryBytes: key(
      "memory_bytes",
      bytes({ min: 0, max: 2 ** 40 }),
      "0B",
      "Resident memory from which on nothing new is taken; 0B: nine tenths of the container's, or the machine's",
    ),
  }),
  {},
);

const logic: OptionalSection<LogicClientConfig> = v.optional(
  v.strictObject({
    serviceName: key("service_name", name(128), "im-logic", "The name of im-logic in the registry"),
    directAddr: optionalKey("direct_addr", dialAddress(), "im-logic's address where the registry knows none"),
    timeoutMs: key("timeout", duration(), "5s", "The deadline of a call"),
  }),
);

const metrics: Section<GatewayConfig["metrics"]> = v.optional(
  v.strictObject({
    addr: key("addr", listenAddress(), ":9090", "Where /metrics is"),
  }),
  {},
);

const internal: Section<InternalConfig> = v.optional(
  v.strictObject({
    addr: key(
      "addr",
      listenAddress(),
      "127.0.0.1:9091",
      "Where back ends call PushService; beyond loopback only with internal.token",
    ),
    advertiseAddr: optionalKey(
      "advertise_addr",
      dialAddress(),
      "PushService's address in the registry; default: internal.addr, at this machine's address where it is every interface",
    ),
    token: optionalKey("token", text(), "What callers of PushService have to send as a bearer token", {
      secret: true,
    }),
  }),
  {},
);

const minMemoryBytes = 64 * 1024 * 1024;

/** The gateway's configuration. */
export const gatewayConfig: ConfigSchema<GatewayConfig> = configSchema(
  v.pipe(
    v.strictObject({
      gatewayId: optionalKey("gateway_id", name(128), "This gateway's name; default: gateway-<host>-<random>", {
        env: "GATEWAY_ID",
      }),
      appEnv: shared.appEnv,
      server,
      websocket,
      limits,
      jwt: shared.jwt,
      grpc: v.optional(v.strictObject({ logic }), {}),
      kafka: shared.kafka,
      coordinator: shared.coordinator,
      metrics,
      internal,
      redis: shared.redis,
      log: shared.log,
      dataDir: optionalKey("data_dir", text(), "The folder of the embedded im-logic's database; default: in memory"),
    }),
    v.forward(v.partialCheck([["appEnv"], ["jwt", "secret"]], production.hasSecret, production.secretMessage), [
      "jwt",
      "secret",
    ]),
    v.forward(v.partialCheck([["appEnv"], ["kafka"]], production.hasKafka, production.kafkaMessage), ["kafka"]),
    v.forward(v.partialCheck([["appEnv"], ["coordinator"]], production.hasCoordinator, production.coordinatorMessage), [
      "coordinator",
    ]),
    v.forward(
      v.partialCheck(
        [["appEnv"], ["grpc"]],
        ({ appEnv, grpc }) => appEnv === "development" || grpc.logic !== undefined,
        "production refuses the im-logic inside the process: set grpc.logic.service_name (IM__GRPC__LOGIC__SERVICE_NAME)",
      ),
      ["grpc", "logic"],
    ),
    v.forward(
      v.partialCheck(
        [["grpc"], ["coordinator"]],
        ({ grpc, coordinator }) =>
          grpc.logic === undefined || grpc.logic.directAddr !== undefined || coordinator !== undefined,
        "there is no way to find im-logic: set grpc.logic.direct_addr, or coordinator.endpoints",
      ),
      ["grpc", "logic"],
    ),
    v.forward(
      v.partialCheck(
        [
          ["kafka", "publishTimeoutMs"],
          ["server", "writeTimeoutMs"],
        ],
        ({ kafka, server }) => kafka === undefined || kafka.publishTimeoutMs <= server.writeTimeoutMs,
        "longer than server.write_timeout: a request would be over before its record was refused",
      ),
      ["kafka", "publishTimeoutMs"],
    ),
    v.forward(v.partialCheck([["kafka"]], shared.topicsDiffer, shared.topicsMessage), ["kafka", "topics"]),
    v.forward(
      v.partialCheck(
        [["limits"]],
        ({ limits }) => limits.memoryBytes === 0 || limits.memoryBytes >= minMemoryBytes,
        "less than a gateway takes by itself, so that it would refuse everything: 64MiB at least, or 0B",
      ),
      ["limits", "memoryBytes"],
    ),
    v.forward(
      v.partialCheck(
        [
          ["server", "httpAddr"],
          ["metrics", "addr"],
        ],
        ({ server, metrics }) => canBothListen(server.httpAddr, metrics.addr),
        "the same port as server.http_addr: only one of them could be opened",
      ),
      ["metrics", "addr"],
    ),
    v.forward(
      v.partialCheck(
        [
          ["server", "httpAddr"],
          ["metrics", "addr"],
          ["internal", "addr"],
        ],
        ({ server, metrics, internal }) =>
          canBothListen(server.httpAddr, internal.addr) && canBothListen(metrics.addr, internal.addr),
        "the same port as server.http_addr or metrics.addr: only one of them could be opened",
      ),
      ["internal", "addr"],
    ),
    v.forward(
      v.partialCheck(
        [["internal"]],
        ({ internal }) => isLoopback(internal.addr) || internal.token !== undefined,
        "other machines can reach it: set internal.token (IM__INTERNAL__TOKEN), or an address on 127.0.0.1",
      ),
      ["internal", "addr"],
    ),
    v.transform(({ gatewayId, ...config }) => ({
      ...config,
      gatewayId: gatewayId ?? newGatewayId(),
      madeUpId: gatewayId === undefined,
    })),
  ),
);

/** Other characters than these are legal in a host's name and not in a topic's. */
function newGatewayId(): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9-]+/g, "-")
    .slice(0, 63);
  return `gateway-${host}-${randomBytes(4).toString("hex")}`;
}
