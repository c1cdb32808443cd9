import { expect, test } from "vitest";
import {
  ConfigError,
  type ConfigSources,
  effectiveValues,
  gatewayConfig,
  loadConfig,
  logicConfig,
  printConfig,
} from "./index.ts";

const printed = (sources: Partial<ConfigSources>): string[] =>
  printConfig(effectiveValues(gatewayConfig, { env: {}, set: [], ...sources })).split("\n");

const yaml = (text: string) => ({ file: { name: "configs/c.yaml", text } });

test.each<[string, Partial<ConfigSources>, string]>([
  ["a default", {}, 'server.http_addr = ":8080"  # default'],
  ["a default list", {}, 'jwt.accepted_types = ["at+jwt"]  # default'],
  ["the file", yaml("server:\n  ws_path: /x\n  http_addr: :1\n"), 'server.http_addr = ":1"  # configs/c.yaml:3'],
  [
    "a list in lines",
    yaml("kafka:\n  brokers:\n    - a:1\n    - b:2\n"),
    'kafka.brokers = ["a:1","b:2"]  # configs/c.yaml:3',
  ],
  [
    "a list in the file as one text",
    yaml("kafka: {brokers: 'a:1, b:2'}"),
    'kafka.brokers = ["a:1","b:2"]  # configs/c.yaml:1',
  ],
  [
    "the environment",
    { env: { IM__SERVER__READ_TIMEOUT: "1m30s" } },
    'server.read_timeout = "1m30s"  # env IM__SERVER__READ_TIMEOUT',
  ],
  ["a plain name", { env: { LOG_LEVEL: "warn" } }, 'log.level = "warn"  # env LOG_LEVEL'],
  [
    "the stronger name",
    { env: { LOG_LEVEL: "warn", IM__LOG__LEVEL: "debug" } },
    'log.level = "debug"  # env IM__LOG__LEVEL',
  ],
  ["--set", { set: ["coordinator.endpoints=a:1,b:2"] }, 'coordinator.endpoints = ["a:1","b:2"]  # --set'],
  [
    "--set over the rest",
    { ...yaml("log: {level: info}"), env: { LOG_LEVEL: "warn" }, set: ["log.level=error"] },
    'log.level = "error"  # --set',
  ],
  ["a value that is the default", { set: ["log.level=info"] }, 'log.level = "info"  # --set'],
  ["a number", { set: ["kafka.brokers=a:1", "kafka.partitions=12"] }, "kafka.partitions = 12  # --set"],
  ["a size without a unit", { set: ["server.max_body_bytes=65536"] }, "server.max_body_bytes = 65536  # --set"],
  ["a size with a unit", {}, 'websocket.max_frame_bytes = "64KiB"  # default'],
  ["text of digits", { set: ["gateway_id=0123"] }, 'gateway_id = "0123"  # --set'],
  ["text with quotes", { set: ['jwt.issuer=a "b"'] }, 'jwt.issuer = "a \\"b\\""  # --set'],
  ["nothing", {}, "jwt.issuer = null  # default"],
  ["a default of a section that is not there", {}, "kafka.partitions = null  # default"],
  ["a default of one that is", { set: ["kafka.brokers=a:1"] }, "kafka.partitions = 6  # default"],
  ["the default secret", {}, 'jwt.secret = "***"  # default'],
  ["a secret", { env: { IM__JWT__SECRET: "canary" } }, 'jwt.secret = "***"  # env IM__JWT__SECRET'],
  ["a token", yaml("internal:\n  token: canary"), 'internal.token = "***"  # configs/c.yaml:2'],
  ["no token", {}, "internal.token = null  # default"],
])("%s", (_, sources, line) => {
  const lines = printed(sources);
  expect(lines).toContain(line);
  expect(lines.join("\n")).not.toContain("canary");
});

test("each key has one line, in the order of the schema; what a start makes is shown", () => {
  const lines = printed({});
  expect(lines.at(-1)).toBe("");
  expect(lines.slice(0, -1).map((line) => line.split(" = ")[0])).toEqual(gatewayConfig.keys.map(({ key }) => key));
  expect(lines[0]).toMatch(/^gateway_id = "gateway-[^"]+" {2}# default$/);
  expect(effectiveValues(logicConfig, { env: {}, set: [] })).toHaveLength(logicConfig.keys.length);
});

test("what is printed, given again, makes the same configuration", () => {
  const set = [
    "kafka.brokers=a:1,b:2",
    "coordinator.endpoints=e:1",
    "grpc.logic.timeout=2s",
    "server.max_body_bytes=9",
  ];
  const values = effectiveValues(gatewayConfig, { env: {}, set });
  const again = values.flatMap(({ key, value }) => (value === null ? [] : [`${key.key}=${value}`]));
  const config = loadConfig(gatewayConfig, { env: {}, set: again });
  expect(config).toEqual({
    ...loadConfig(gatewayConfig, { env: {}, set }),
    gatewayId: config.gatewayId,
    madeUpId: false,
  });
});

test("a configuration that cannot be used has no values", () => {
  expect(() => effectiveValues(gatewayConfig, { env: {}, set: ["log.level=loud"] })).toThrow(ConfigError);
});
