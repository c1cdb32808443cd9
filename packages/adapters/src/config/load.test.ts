import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ConfigError,
  type ConfigProblem,
  type ConfigSources,
  type GatewayConfig,
  gatewayConfig,
  loadConfig,
  logicConfig,
  readConfigFile,
} from "./index.ts";

interface Given extends Partial<Omit<ConfigSources, "file">> {
  readonly yaml?: string;
}

function sources({ yaml, env = {}, set = [] }: Given): ConfigSources {
  return { env, set, ...(yaml === undefined ? {} : { file: { name: "configs/c.yaml", text: yaml } }) };
}

function load(given: Given): GatewayConfig {
  return loadConfig(gatewayConfig, sources(given));
}

function problemsOf(given: Given): readonly ConfigProblem[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("order of the sources", () => {
  const yaml = "server:\n  ws_path: /file\n";
  const env = { IM__SERVER__WS_PATH: "/env" };
  test.each<[string, Given, string]>([
    ["the default", {}, "/ws"],
    ["file over default", { yaml }, "/file"],
    ["environment over file", { yaml, env }, "/env"],
    ["--set over all", { yaml, env, set: ["server.ws_path=/set"] }, "/set"],
    ["the last --set", { set: ["server.ws_path=/one", "server.ws_path=/two"] }, "/two"],
  ])("%s", (_, given, path) => {
    expect(load(given).server.wsPath).toBe(path);
  });

  test("is a matter of each key, not of a section", () => {
    const { server } = load({
      yaml: "server:\n  read_timeout: 1s\n  write_timeout: 9s\n",
      set: ["server.write_timeout=5s"],
    });
    expect(server).toMatchObject({ readTimeoutMs: 1000, writeTimeoutMs: 5000, drainTimeoutMs: 30_000 });
  });

  test("a value that a later source replaces is not checked", () => {
    expect(load({ yaml: "server: {ws_path: wrong}", set: ["server.ws_path=/right"] }).server.wsPath).toBe("/right");
  });
});

describe("environment", () => {
  test("has a name for each key, and plain names for three", () => {
    const config = load({
      env: {
        GATEWAY_ID: "gateway-001",
        LOG_LEVEL: "debug",
        APP_ENV: "development",
        IM__KAFKA__BROKERS: "a:9092,b:9092",
        IM__KAFKA__TOPICS__DOWNSTREAM_PREFIX: "down-",
        IM__GRPC__LOGIC__DIRECT_ADDR: "localhost:9001",
      },
    });
    expect(config).toMatchObject({
      gatewayId: "gateway-001",
      log: { level: "debug" },
      kafka: { brokers: ["a:9092", "b:9092"], topics: { downstreamPrefix: "down-", upstream: "upstream" } },
      grpc: { logic: { directAddr: { host: "localhost", port: 9001 }, serviceName: "im-logic" } },
    });
  });

  test("the name with IM__ wins over the plain one, and an empty plain one is not set", () => {
    expect(load({ env: { GATEWAY_ID: "a", IM__GATEWAY_ID: "b" } }).gatewayId).toBe("b");
    expect(load({ env: { GATEWAY_ID: "", APP_ENV: "", LOG_LEVEL: "" } })).toMatchObject({
      appEnv: "development",
      log: { level: "info" },
    });
    expect(problemsOf({ env: { IM__GATEWAY_ID: "" } })).toMatchObject([{ source: "env IM__GATEWAY_ID" }]);
  });

  test("of others is left alone", () => {
    expect(
      problemsOf({ env: { PATH: "/bin", IM_LOGIC_SERVICE_HOST: "10.0.0.1", IM_LOGIC_PORT: "tcp://10.0.0.1:9001" } }),
    ).toEqual([]);
  });

  test("plain names that are no key of a program do not reach it", () => {
    expect(loadConfig(logicConfig, { env: { GATEWAY_ID: "not a name" }, set: [] }).appEnv).toBe("development");
  });
});

describe("a section is there when any source sets a key of it", () => {
  const optional = { kafka: undefined, coordinator: undefined, redis: undefined, grpc: {} };
  test.each(["", "# nothing\n", "---\n", "kafka:\ncoordinator: {}\ngrpc:\n  logic:\n", "null"])("not in %j", (yaml) => {
    const { kafka, coordinator, redis, grpc } = load({ yaml });
    expect({ kafka, coordinator, redis, grpc }).toEqual(optional);
  });

  test.each<[string, Given]>([
    ["the file", { yaml: "kafka: {brokers: ['localhost:9092']}" }],
    ["the environment", { env: { IM__KAFKA__BROKERS: "localhost:9092" } }],
    ["--set", { set: ["kafka.brokers=localhost:9092"] }],
  ])("%s", (_, given) => {
    expect(load(given).kafka).toEqual({
      brokers: ["localhost:9092"],
      topics: {
        upstream: "upstream",
        downstreamPrefix: "downstream-",
        userEvents: "user-events",
        deadLetter: "dead-letter",
      },
      publishTimeoutMs: 4000,
      partitions: 6,
    });
  });

  test("and then lacks what it cannot do without", () => {
    expect(problemsOf({ set: ["kafka.topics.upstream=up", "coordinator.lease_ttl=9s"] })).toEqual([
      { source: "not set", key: "kafka.brokers", message: "missing: set it as IM__KAFKA__BROKERS" },
      { source: "not set", key: "coordinator.endpoints", message: "missing: set it as IM__COORDINATOR__ENDPOINTS" },
    ]);
  });
});

describe("YAML", () => {
  test("plain scalars are the text that stands there", () => {
    const config = load({ yaml: "jwt: {secret: 0123}\ngateway_id: 1e3\nkafka: {brokers: 'a:1,b:2', partitions: '7'}" });
    expect(config).toMatchObject({
      jwt: { secret: "0123" },
      gatewayId: "1e3",
      kafka: { brokers: ["a:1", "b:2"], partitions: 7 },
    });
  });

  test("anchors and aliases work", () => {
    const yaml =
      "server:\n  read_timeout: &t 9s\n  write_timeout: *t\nkafka: {brokers: &b ['a:1']}\ncoordinator: {endpoints: *b}\n";
    expect(load({ yaml })).toMatchObject({ server: { writeTimeoutMs: 9000 }, coordinator: { endpoints: ["a:1"] } });
  });

  test.each<[string, string, string, string]>([
    [
      "server:\n  htp_addr: :8080\n",
      "2:3",
      "server.htp_addr",
      "not a key of the configuration; did you mean server.http_addr?",
    ],
    [
      "server:\n  httpAddr: :8080\n",
      "2:3",
      "server.httpAddr",
      "not a key of the configuration; did you mean server.http_addr?",
    ],
    ["sever: {a: 1}\n", "1:1", "sever", "not a key of the configuration; did you mean server?"],
    ["\nws_path: /x\n", "2:1", "ws_path", "not a key of the configuration; did you mean server.ws_path?"],
    ["colour: red\n", "1:1", "colour", "not a key of the configuration"],
    ["<<: {log: {level: warn}}\n", "1:1", "<<", "not a key of the configuration"],
    ["server.ws_path: /x\n", "1:1", "server.ws_path", "in a file, write each part of a key on a level of its own"],
    ["server: :8080\n", "1:9", "server", "this is a section: write its keys below it"],
    ["server:\n  - http_addr\n", "2:3", "server", "this is a section: write its keys below it"],
    ["server:\n  http_addr:\n", "2:13", "server.http_addr", "wants a value"],
    ["server:\n  http_addr: ~\n", "2:14", "server.http_addr", "wants a value"],
    ["server:\n  http_addr: {port: 80}\n", "2:14", "server.http_addr", "wants a value"],
    ["server:\n  http_addr: [':80']\n", "2:14", "server.http_addr", "takes one value, not a list"],
    ["kafka:\n  brokers: [a: 1]\n", "2:12", "kafka.brokers", "wants a value"],
    ["kafka:\n  brokers: []\n", "2:12", "kafka.brokers", "an empty list"],
    ["log:\n  level: info\n  level: warn\n", "3:3", "", "Map keys must be unique"],
    ["log:\n\tlevel: info\n", "2:1", "", "Tabs are not allowed as indentation"],
    ["log: [\n", "2:1", "", "Flow sequence in block collection must be sufficiently indented and end with a ]"],
    ["log: {level: !x info}\n", "1:14", "", "Unresolved tag"],
    ["- log\n", "1:1", "", "the file is not a map of keys: write lines of key: value"],
    ["a: 1\n---\nb: 1\n", "2:1", "", "more than one document"],
  ])("%j", (yaml, place, key, message) => {
    expect(problemsOf({ yaml })).toContainEqual({ source: `configs/c.yaml:${place}`, key, message });
  });
});

describe("mistakes", () => {
  test("of a file whose syntax is wrong: no complaint that what may stand in it is missing", () => {
    const given: Given = {
      yaml: "kafka:\n\tbrokers: [a:1]\n",
      env: { APP_ENV: "production", IM__KAFKA__PARTITIONS: "many" },
      set: ["metrics.addr=:8080"],
    };
    const problems = problemsOf(given).map(({ source, key }) => `${source} ${key}`.trim());
    expect(problems).toEqual(["configs/c.yaml:2:1", "env IM__KAFKA__PARTITIONS kafka.partitions"]);
  });

  test("all of all sources come at once, a line each, and nothing is said twice", () => {
    const given: Given = {
      yaml: "server:\n  htp_addr: :8080\n  read_timeout: 30\nlog:\n  level: info\n  level: loud\n",
      env: { IM__SERVER__HTTP_ADR: ":1", IM__KAFKA__PARTITIONS: "many" },
      set: ["kafka.borkers=a:1", "kafka=a:1", "grpc.logic.timeout", "app_env=test"],
    };
    expect(() => load(given)).toThrow(
      [
        "The configuration cannot be used. Correct this and start again:",
        "  configs/c.yaml:6:3: Map keys must be unique",
        "  configs/c.yaml:2:3: server.htp_addr: not a key of the configuration; did you mean server.http_addr?",
        "  env IM__SERVER__HTTP_ADR: not a key of the configuration; did you mean IM__SERVER__HTTP_ADDR?",
        "  --set kafka.borkers: not a key of the configuration; did you mean kafka.brokers?",
        "  --set kafka: this is a section: set one of its keys",
        "  --set grpc.logic.timeout: no value: write --set key=value",
        '  --set app_env: "test" is not one of development, production',
        '  configs/c.yaml:3:17: server.read_timeout: "30" is not a duration from 1ms to 24h: write a number with its unit (ms, s, m, h), such as 30s',
        "  not set: kafka.brokers: missing: set it as IM__KAFKA__BROKERS",
        '  env IM__KAFKA__PARTITIONS: kafka.partitions: "many" is not a whole number from 1 to 10000',
        '  configs/c.yaml:6:10: log.level: "loud" is not one of debug, info, warn, error',
      ].join("\n"),
    );
  });

  test.each([
    ["IM__SERVER__NOPE__X", undefined],
    ["IM__server__http_addr", "IM__SERVER__HTTP_ADDR"],
    ["IM__LOGLEVEL", "IM__LOG__LEVEL"],
  ])("the environment's %s", (name, meant) => {
    const message = `not a key of the configuration${meant === undefined ? "" : `; did you mean ${meant}?`}`;
    expect(problemsOf({ env: { [name]: "1" } })).toEqual([{ source: `env ${name}`, key: name, message }]);
  });
});

test("the result cannot be changed", () => {
  const config = load({ set: ["kafka.brokers=a:1"] });
  expect(
    [config, config.server, config.server.httpAddr, config.kafka?.brokers].every((part) => Object.isFrozen(part)),
  ).toBe(true);
});

describe("the file", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "im-config-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("is read as UTF-8", async () => {
    const path = join(folder, "c.yaml");
    await writeFile(path, "\ufeffjwt:\n  issuer: 测试\n");
    const file = await readConfigFile(path);
    expect(loadConfig(gatewayConfig, { file, env: {}, set: [] }).jwt.issuer).toBe("测试");
  });

  test("that is not there or not text is named", async () => {
    const path = join(folder, "binary.yaml");
    await writeFile(path, new Uint8Array([0xff, 0xfe, 0x00]));
    await expect(readConfigFile(path)).rejects.toThrow(`  --config ${path}: the file cannot be read: it is not UTF-8`);
    await expect(readConfigFile(join(folder, "none.yaml"))).rejects.toThrow(/the file cannot be read: there is none/);
    await expect(readConfigFile(folder)).rejects.toThrow(ConfigError);
  });
});
