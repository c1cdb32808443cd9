// CONTRACT §7: the keys, their defaults, the seed's file, and what production refuses.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, type ConfigKey, gatewayConfig, loadConfig, logicConfig, readConfigFile } from "./index.ts";

const shared = [
  ["jwt.secret", "your-secret-key"],
  ["jwt.issuer", undefined],
  ["jwt.accepted_types", ["at+jwt"]],
  ["jwt.access_token_expire", "24h"],
  ["jwt.refresh_token_expire", "168h"],
  ["kafka.brokers", undefined],
  ["kafka.topics.upstream", "upstream"],
  ["kafka.topics.downstream_prefix", "downstream-"],
  ["kafka.topics.user_events", "user-events"],
  ["kafka.topics.dead_letter", "dead-letter"],
  ["kafka.publish_timeout", "4s"],
  ["kafka.partitions", "6"],
  ["kafka.replication_factor", undefined],
  ["coordinator.endpoints", undefined],
  ["coordinator.lease_ttl", "10s"],
  ["redis.addr", undefined],
  ["log.level", "info"],
  ["log.format", undefined],
  ["app_env", "development"],
];
const gateway = [
  ["gateway_id", undefined],
  ["server.http_addr", ":8080"],
  ["server.advertise_addr", undefined],
  ["server.ws_path", "/ws"],
  ["server.read_timeout", "30s"],
  ["server.write_timeout", "30s"],
  ["server.drain_timeout", "30s"],
  ["server.max_body_bytes", "1MiB"],
  // Not in CONTRACT §7, which allows for it by "config".
  ["server.allowed_query_keys", undefined],
  ["websocket.heartbeat_interval", "25s"],
  ["websocket.heartbeat_timeout", "10s"],
  ["websocket.auth_timeout", "10s"],
  ["websocket.max_frame_bytes", "64KiB"],
  ["websocket.send_buffer_bytes", "1MiB"],
  ["websocket.resume_window", "60s"],
  // Nor these.
  ["limits.accept_rate", "1000"],
  ["limits.max_connections", "100000"],
  ["limits.unauthenticated_connections", "2000"],
  ["limits.messages_per_second", "0"],
  ["limits.buffered_bytes", "256MiB"],
  ["limits.memory_bytes", "0B"],
  ["grpc.logic.service_name", "im-logic"],
  ["grpc.logic.direct_addr", undefined],
  ["grpc.logic.timeout", "5s"],
  ["metrics.addr", ":9090"],
  ["internal.addr", "127.0.0.1:9091"],
  ["internal.advertise_addr", undefined],
  ["internal.token", undefined],
  ["data_dir", undefined],
];
const logic = [
  ["grpc_addr", ":9001"],
  ["http_addr", ":9002"],
  ["advertise_addr", undefined],
  ["data_dir", "./data"],
];

const rows = (keys: readonly ConfigKey[]) => keys.map((key) => [key.key, key.default]).sort();

test("the keys and defaults are the contract's", () => {
  expect(rows(gatewayConfig.keys)).toEqual([...shared, ...gateway].sort());
  expect(rows(logicConfig.keys)).toEqual([...shared, ...logic].sort());
});

test("each key has a description and an environment name; the secrets are known", () => {
  const keys = [...gatewayConfig.keys, ...logicConfig.keys];
  for (const { key, env, description } of keys) {
    expect(env.at(-1)).toBe(`IM__${key.split(".").join("__").toUpperCase()}`);
    expect(description).not.toBe("");
  }
  expect(new Set(keys.filter(({ secret }) => secret).map(({ key }) => key))).toEqual(
    new Set(["jwt.secret", "internal.token"]),
  );
  expect(keys.filter(({ env }) => env.length > 1).map(({ env }) => env[0])).toEqual([
    "GATEWAY_ID",
    "APP_ENV",
    "LOG_LEVEL",
    "APP_ENV",
    "LOG_LEVEL",
  ]);
});

test("without any source everything has its default, and each start its own gateway_id", () => {
  const { gatewayId, madeUpId, ...config } = loadConfig(gatewayConfig, { env: {}, set: [] });
  expect(madeUpId).toBe(true);
  expect(gatewayId).toMatch(/^gateway-[A-Za-z0-9-]+-[0-9a-f]{8}$/);
  expect(loadConfig(gatewayConfig, { env: {}, set: [] }).gatewayId).not.toBe(gatewayId);
  expect(config).toEqual({
    appEnv: "development",
    server: {
      httpAddr: { host: "", port: 8080 },
      wsPath: "/ws",
      readTimeoutMs: 30_000,
      writeTimeoutMs: 30_000,
      drainTimeoutMs: 30_000,
      maxBodyBytes: 2 ** 20,
    },
    websocket: {
      heartbeatIntervalMs: 25_000,
      heartbeatTimeoutMs: 10_000,
      authTimeoutMs: 10_000,
      maxFrameBytes: 2 ** 16,
      sendBufferBytes: 2 ** 20,
      resumeWindowMs: 60_000,
    },
    limits: {
      acceptRate: 1000,
      maxConnections: 100_000,
      maxUnauthenticated: 2000,
      messagesPerSecond: 0,
      bufferedBytes: 256 * 1024 * 1024,
      memoryBytes: 0,
    },
    jwt: {
      secret: "your-secret-key",
      acceptedTypes: ["at+jwt"],
      accessTokenExpireMs: 24 * 3_600_000,
      refreshTokenExpireMs: 168 * 3_600_000,
    },
    grpc: {},
    metrics: { addr: { host: "", port: 9090 } },
    internal: { addr: { host: "127.0.0.1", port: 9091 } },
    log: { level: "info" },
  });
});

describe("the seed's file", () => {
  const seed = `
server:      { http_addr: ":8080", ws_path: "/ws", read_timeout: 30s, write_timeout: 30s }
jwt:         { secret: "your-secret-key", access_token_expire: 24h, refresh_token_expire: 168h }
grpc:        { logic: { service_name: "im-logic", direct_addr: "localhost:9001" } }
kafka:       { brokers: ["localhost:9092"] }
coordinator: { endpoints: ["localhost:2379"] }
`;
  const configs = join(import.meta.dirname, "../../../../configs");
  const env = { GATEWAY_ID: "gateway-001" };

  test("is accepted, and configs/config.yaml says the same", async () => {
    const config = loadConfig(gatewayConfig, { file: { name: "seed", text: seed }, env, set: [] });
    expect(config).toMatchObject({
      server: { httpAddr: { host: "", port: 8080 } },
      grpc: { logic: { serviceName: "im-logic", directAddr: { host: "localhost", port: 9001 }, timeoutMs: 5000 } },
      kafka: { brokers: ["localhost:9092"] },
      coordinator: { endpoints: ["localhost:2379"], leaseTtlMs: 10_000 },
    });
    const file = await readConfigFile(join(configs, "config.yaml"));
    expect(loadConfig(gatewayConfig, { file, env, set: [] })).toEqual(config);
  });

  test("goes with configs/im-logic.yaml", async () => {
    const file = await readConfigFile(join(configs, "im-logic.yaml"));
    const gateway = loadConfig(gatewayConfig, { file: { name: "seed", text: seed }, env, set: [] });
    const logic = loadConfig(logicConfig, { file, env, set: [] });
    expect(logic).toMatchObject({ jwt: gateway.jwt, kafka: gateway.kafka, coordinator: gateway.coordinator });
    expect(logic.grpcAddr.port).toBe(gateway.grpc.logic?.directAddr?.port);
  });
});

describe("production", () => {
  const secret = "s".repeat(32);
  const set = [`jwt.secret=${secret}`, "kafka.brokers=k:9092", "coordinator.endpoints=e:2379", "grpc.logic.timeout=5s"];
  const env = { APP_ENV: "production" };
  const without = (key: string) => set.filter((assignment) => !assignment.startsWith(key));
  const problems = (given: readonly string[]): string[] => {
    try {
      loadConfig(gatewayConfig, { env, set: given });
    } catch (error) {
      if (error instanceof ConfigError)
        return error.problems.map(({ source, key, message }) => `${source}: ${key}: ${message}`);
      throw error;
    }
    return [];
  };

  test("is content when nothing is embedded and the secret is its own", () => {
    expect(problems(set)).toEqual([]);
  });

  test.each([
    ["jwt", "default: jwt.secret: ", "set jwt.secret (IM__JWT__SECRET)"],
    ["kafka", "not set: kafka: ", "set kafka.brokers (IM__KAFKA__BROKERS)"],
    ["coordinator", "not set: coordinator: ", "set coordinator.endpoints (IM__COORDINATOR__ENDPOINTS)"],
    ["grpc", "not set: grpc.logic: ", "set grpc.logic.service_name (IM__GRPC__LOGIC__SERVICE_NAME)"],
  ])("refuses to start without %s", (section, start, advice) => {
    const found = problems(without(section)).filter((problem) => problem.includes("production"));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(start);
    expect(found[0]).toContain(advice);
  });

  test.each(["your-secret-key", "secret", "changeme", "s".repeat(31)])("refuses the secret %s", (weak) => {
    expect(problems([...without("jwt"), `jwt.secret=${weak}`])).toEqual([
      expect.stringMatching(
        /^--set jwt.secret: jwt.secret: production wants a secret of its own, of at least 32 bytes/,
      ),
    ]);
  });

  test("counts the secret in bytes", () => {
    expect(problems([...without("jwt"), `jwt.secret=${"密".repeat(11)}`])).toEqual([]);
  });

  test("says everything at once, beside other mistakes of the same section", () => {
    expect(problems(["jwt.access_token_expire=soon", "server.ws_path=ws"])).toHaveLength(6);
  });

  test("asks the same of im-logic", () => {
    expect(() => loadConfig(logicConfig, { env, set: [] })).toThrow(
      /jwt\.secret: production.*\n.*kafka: production.*\n.*coordinator: production/,
    );
    expect(loadConfig(logicConfig, { env, set: without("grpc") }).jwt.secret).toBe(secret);
  });
});

describe("contradictions", () => {
  test.each([
    [
      ["grpc.logic.timeout=1s"],
      "--set grpc.logic.timeout: grpc.logic: there is no way to find im-logic: set grpc.logic.direct_addr",
    ],
    [
      ["kafka.brokers=a:1", "kafka.publish_timeout=31s"],
      "--set kafka.publish_timeout: longer than server.write_timeout",
    ],
    [
      ["kafka.brokers=a:1", "server.write_timeout=3s"],
      "default: kafka.publish_timeout: longer than server.write_timeout",
    ],
    [["metrics.addr=:8080"], "--set metrics.addr: the same port as server.http_addr"],
    [["server.http_addr=127.0.0.1:9090"], "default: metrics.addr: the same port as server.http_addr"],
    [["internal.addr=127.0.0.1:8080"], "--set internal.addr: the same port as server.http_addr or metrics.addr"],
    [["metrics.addr=:9091"], "default: internal.addr: the same port as server.http_addr or metrics.addr"],
    [
      ["kafka.brokers=a:1", "kafka.topics.dead_letter=upstream"],
      "--set kafka.topics.dead_letter: kafka.topics: two of the topics have one name",
    ],
    [["limits.memory_bytes=512"], "--set limits.memory_bytes: less than a gateway takes by itself"],
    [["internal.addr=:9092"], "--set internal.addr: other machines can reach it: set internal.token"],
    [["internal.addr=10.0.0.1:9092"], "--set internal.addr: other machines can reach it: set internal.token"],
  ])("%j", (set, message) => {
    expect(() => loadConfig(gatewayConfig, { env: {}, set })).toThrow(message);
  });

  test.each([
    [
      "heartbeat_timeout of 0",
      "websocket:\n  heartbeat_timeout: 0\n",
      '2:22: websocket.heartbeat_timeout: "0" is not a duration from 1ms to 24h',
    ],
    [
      "heartbeat_timeout of 0s",
      "websocket: {heartbeat_timeout: 0s}",
      '1:32: websocket.heartbeat_timeout: "0s" is not a duration from 1ms to 24h',
    ],
    [
      "lease_ttl under 2 s",
      "coordinator:\n  endpoints: [e:1]\n  lease_ttl: 1999ms\n",
      '3:14: coordinator.lease_ttl: "1999ms" is not a duration from 2s to 24h',
    ],
    [
      "publish_timeout over write_timeout",
      "server:\n  write_timeout: 3s\nkafka:\n  brokers: [a:1]\n  publish_timeout: 3001ms\n",
      "5:20: kafka.publish_timeout: longer than server.write_timeout",
    ],
  ])("in a file: %s", (_, text, problem) => {
    expect(() => loadConfig(gatewayConfig, { file: { name: "c.yaml", text }, env: {}, set: [] })).toThrow(
      `Correct this and start again:\n  c.yaml:${problem}`,
    );
  });

  test.each([
    [["metrics.addr=:0", "server.http_addr=:0"]],
    [["metrics.addr=127.0.0.1:8080", "server.http_addr=127.0.0.2:8080"]],
    [["internal.addr=:9092", "internal.token=t"]],
    [["internal.addr=[::1]:9092"]],
    [["internal.addr=localhost:9092"]],
  ])("and these ports can be opened: %j", (set) => {
    expect(() => loadConfig(gatewayConfig, { env: {}, set })).not.toThrow();
  });

  test("im-logic's two ports", () => {
    expect(() => loadConfig(logicConfig, { env: {}, set: ["http_addr=:9001"] })).toThrow(
      "--set http_addr: the same port as grpc_addr",
    );
  });

  test.each([
    "websocket: {heartbeat_timeout: 1ms}",
    "coordinator: {endpoints: [e:1], lease_ttl: 2s}",
    "kafka: {brokers: [a:1], publish_timeout: 30s}",
  ])("and what is just enough is taken: %s", (text) => {
    expect(() => loadConfig(gatewayConfig, { file: { name: "c.yaml", text }, env: {}, set: [] })).not.toThrow();
  });

  test("im-logic is found by its address or by the coordinator", () => {
    expect(loadConfig(gatewayConfig, { env: {}, set: ["grpc.logic.direct_addr=a:1"] }).grpc.logic?.serviceName).toBe(
      "im-logic",
    );
    const set = ["grpc.logic.service_name=l", "coordinator.endpoints=e:1"];
    expect(loadConfig(gatewayConfig, { env: {}, set }).grpc.logic).toEqual({ serviceName: "l", timeoutMs: 5000 });
  });
});
