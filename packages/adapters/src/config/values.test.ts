import { describe, expect, test } from "vitest";
import { type Address, ConfigError, formatAddress, type GatewayConfig, gatewayConfig, loadConfig } from "./index.ts";

function load(...set: string[]): GatewayConfig {
  return loadConfig(gatewayConfig, { env: {}, set });
}

function messageOf(...set: string[]): string {
  try {
    load(...set);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "accepted";
}

describe("durations", () => {
  test.each([
    ["200ms", 200],
    ["30s", 30_000],
    ["1.5s", 1500],
    ["1.005s", 1005],
    ["2m", 120_000],
    ["1h30m", 5_400_000],
    ["1m0.5s", 60_500],
    ["24h", 86_400_000],
  ])("%s is %i ms", (written, ms) => {
    expect(load(`websocket.heartbeat_interval=${written}`).websocket.heartbeatIntervalMs).toBe(ms);
  });

  test.each([
    "",
    "30",
    "0",
    "0s",
    "0.4ms",
    "-1s",
    "s",
    "1d",
    "1 s",
    "1S",
    "1,5s",
    "1.s",
    "1e3s",
    "Infinitys",
    "24h1ms",
    "99999999h",
  ])("%j is refused", (written) => {
    expect(messageOf(`websocket.heartbeat_timeout=${written}`)).toContain(
      `--set websocket.heartbeat_timeout: ${JSON.stringify(written)} is not a duration from 1ms to 24h`,
    );
  });

  test("bounds belong to the key", () => {
    expect(load("server.drain_timeout=0s").server.drainTimeoutMs).toBe(0);
    expect(load("jwt.refresh_token_expire=8760h").jwt.refreshTokenExpireMs).toBe(365 * 86_400_000);
    expect(load("coordinator.endpoints=a:1", "coordinator.lease_ttl=2s").coordinator?.leaseTtlMs).toBe(2000);
    expect(messageOf("coordinator.endpoints=a:1", "coordinator.lease_ttl=1999ms")).toContain("from 2s to 24h");
  });
});

describe("sizes", () => {
  test.each([
    ["65536", 65_536],
    ["512B", 512],
    ["64KiB", 65_536],
    ["1MiB", 1_048_576],
    ["1.5MiB", 1_572_864],
    ["1GiB", 1_073_741_824],
  ])("%s is %i bytes", (written, size) => {
    expect(load(`websocket.max_frame_bytes=${written}`).websocket.maxFrameBytes).toBe(size);
  });

  test.each(["", "0", "1MB", "64kb", "1 MiB", "-1", "0.3B", "1025MiB", "MiB", "0x10"])("%j is refused", (written) => {
    expect(messageOf(`websocket.max_frame_bytes=${written}`)).toContain(
      `${JSON.stringify(written)} is not a size from 1B to 1GiB`,
    );
  });
});

describe("addresses", () => {
  test.each([
    [":8080", { host: "", port: 8080 }],
    ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    ["[::]:65535", { host: "::", port: 65_535 }],
    ["gate_way-1.local:1", { host: "gate_way-1.local", port: 1 }],
  ])("one can listen at %s", (written, address: Address) => {
    expect(load(`server.http_addr=${written}`).server.httpAddr).toEqual(address);
    expect(formatAddress(address)).toBe(written);
  });

  test.each([
    "",
    "8080",
    "localhost",
    "localhost:",
    ":65536",
    ":-1",
    "::1:80",
    "[1.2.3.4]:80",
    "http://a:80",
    "a b:80",
    "a:80/x",
  ])("%j is no place to listen", (written) => {
    expect(messageOf(`server.http_addr=${written}`)).toContain(
      `${JSON.stringify(written)} is not an address to listen at`,
    );
  });

  test.each([":9001", "localhost:0", "localhost"])("%j is no place to connect to", (written) => {
    expect(messageOf(`server.advertise_addr=${written}`)).toContain(
      `${JSON.stringify(written)} is not an address to connect to`,
    );
  });

  test("a list is written with commas, with or without spaces", () => {
    expect(load("kafka.brokers=a:9092, b:9092,[::1]:9092").kafka?.brokers).toEqual(["a:9092", "b:9092", "[::1]:9092"]);
  });

  test.each([
    ["", '""'],
    ["a:1,", '""'],
    ["a:1,b", '"b"'],
  ])("the list %j is refused because of %s", (written, part) => {
    expect(messageOf(`kafka.brokers=${written}`)).toContain(`kafka.brokers: ${part} is not an address to connect to`);
  });

  test("each wrong element of a list is named", () => {
    const message = messageOf("kafka.brokers=a,b:1,c");
    expect(message).toContain('"a" is not');
    expect(message).toContain('"c" is not');
  });
});

describe("the rest", () => {
  test.each([
    ["gateway_id", "gateway-001", "a/b", '"a/b" is not a name: 1 to 128 letters, digits'],
    ["gateway_id", "a".repeat(128), "a".repeat(129), `"${"a".repeat(79)}…" is not a name`],
    ["server.ws_path", "/ws/v1", "ws", '"ws" is not a path'],
    ["server.ws_path", "/ws", "/", '"/" is not a path'],
    ["log.level", "debug", "verbose", '"verbose" is not one of debug, info, warn, error'],
    ["log.format", "pretty", "text", '"text" is not one of json, pretty'],
    ["app_env", "development", "staging", '"staging" is not one of development, production'],
    ["jwt.accepted_types", "at+jwt,JWT", "a b", '"a b" is not a media type'],
    ["server.allowed_query_keys", "utm_source,gclid", "a=b", '"a=b" is not a name of a query parameter'],
    ["data_dir", "/var/lib/im data", "x\ny", "the value is not text"],
    ["jwt.issuer", "https://id.example", "", "the value is not text"],
  ])("%s", (key, right, wrong, message) => {
    expect(messageOf(`${key}=${right}`)).toBe("accepted");
    expect(messageOf(`${key}=${wrong}`)).toContain(`--set ${key}: ${message}`);
  });

  test.each(["0", "-1", "1.5", "10001", "six", ""])("%j partitions are refused", (written) => {
    expect(messageOf("kafka.brokers=a:1", `kafka.partitions=${written}`)).toContain(
      `${JSON.stringify(written)} is not a whole number from 1 to 10000`,
    );
  });

  test("a secret is never quoted, whatever is wrong with it", () => {
    const canary = "canary-8b1f";
    const texts = [
      `jwt:\n  secret: "${canary} "`,
      `jwt:\n  secret: !${canary} x`,
      `jwt:\n  secret: *${canary}`,
      `jwt: ${canary}`,
    ];
    texts.push(
      `jwt:\n  secret: [${canary}, {x: ${canary}}]`,
      `jwt:\n  secret: "x" "${canary}"`,
      `jwt:\n  secret: &${canary},x y`,
    );
    for (const text of texts) {
      expect(() => loadConfig(gatewayConfig, { file: { name: "c.yaml", text }, env: {}, set: [] })).toThrow(
        expect.objectContaining({ name: "ConfigError", message: expect.not.stringContaining(canary) }),
      );
    }
    expect(messageOf(`jwt.secret= ${canary}`)).not.toContain(canary);
    expect(messageOf(`jwt.secret:${canary}`)).not.toContain(canary);
  });
});
