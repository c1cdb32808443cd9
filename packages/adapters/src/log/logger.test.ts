import { Code } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { describe, expect, test } from "vitest";
import { createLogger, type LoggerOptions } from "./index.ts";

function record(options: LoggerOptions = {}) {
  const lines: string[] = [];
  const now = () => Date.UTC(2026, 0, 31, 12, 0, 0, 7);
  const logger = createLogger({
    fields: { gateway_id: "gateway-1" },
    now,
    write: (line) => lines.push(line),
    ...options,
  });
  return { lines, log: logger.module("kafka") };
}

describe("a JSON line", () => {
  test("has the contract's fields in its order", () => {
    const { lines, log } = record();
    log("info", "listening", { http_addr: "0.0.0.0:8080", n: 1, list: ["a"], none: null, absent: undefined });
    expect(lines).toEqual([
      '{"level":"info","module":"kafka","message":"listening","gateway_id":"gateway-1","timestamp":"2026-01-31T12:00:00.007Z",' +
        '"http_addr":"0.0.0.0:8080","n":1,"list":["a"],"none":null}\n',
    ]);
  });

  test("is one line of what no terminal obeys, and reads back the same", () => {
    const { lines, log } = record();
    const nasty = 'a\nb\r\t\u001b[31m"\\\u0000\u007f\u009b31m\u2028\u2029\ud800 测试';
    log("warn", nasty, { nasty, inner: { nasty: [nasty] } });
    const line = lines.join("").slice(0, -1);
    expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    expect(JSON.parse(line)).toMatchObject({ message: nasty, nasty, inner: { nasty: [nasty] } });
  });

  test("never has a key twice", () => {
    const { lines, log } = record();
    log("info", "real", { level: "x", module: "x", message: "x", gateway_id: "x", timestamp: "x" });
    expect(lines[0]).toContain('"message":"real","gateway_id":"gateway-1"');
    expect(lines[0]).toContain('"level_":"x","module_":"x","message_":"x","gateway_id_":"x","timestamp_":"x"}');
  });

  test("takes whatever a field holds", () => {
    const { lines, log } = record();
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    log("info", "odd", { big: 2n ** 60n, nan: Number.NaN, circle, date: new Date(0) });
    expect(JSON.parse(lines.join(""))).toMatchObject({
      nan: null,
      circle: { self: "[Circular]" },
      date: "1970-01-01T00:00:00.000Z",
    });
    expect(lines[0]).toContain('"big":1152921504606846976');
  });
});

describe("an error among the fields", () => {
  const cause = Object.assign(new Error("connect refused"), { code: "ECONNREFUSED" });

  test("says message, code, reason and cause", () => {
    const { lines, log } = record();
    log("error", "publish failed", {
      error: failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "Kafka is away", { cause }),
    });
    expect(JSON.parse(lines.join("")).error).toEqual({
      message: "Kafka is away",
      code: "unavailable",
      reason: "KAFKA_UNAVAILABLE",
      cause: { message: "connect refused", code: "ECONNREFUSED" },
    });
  });

  test("has its stack at level debug only, and a name where it has no message", () => {
    const { lines, log } = record({ level: "debug" });
    log("error", "x", { error: new TypeError("") });
    expect(JSON.parse(lines.join("")).error).toEqual({
      message: "TypeError",
      stack: expect.stringContaining("logger.test"),
    });
  });

  test("may be its own cause", () => {
    const { lines, log } = record();
    const error = new Error("loop");
    error.cause = error;
    log("error", "x", { error });
    expect(lines).toHaveLength(1);
  });
});

test.each([
  ["debug", ["debug", "info", "warn", "error"]],
  ["info", ["info", "warn", "error"]],
  ["warn", ["warn", "error"]],
  ["error", ["error"]],
] as const)("level %s", (level, written) => {
  const { lines, log } = record({ level });
  for (const each of ["debug", "info", "warn", "error"] as const) log(each, "x");
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(written);
});

test("pretty is for people, and as harmless", () => {
  const { lines, log } = record({ format: "pretty" });
  log("warn", "slow\n\u001b[2J", { topic: "upstream", ms: 1200 });
  expect(lines).toEqual([
    '12:00:00.007 WARN  kafka: slow\\u000a\\u001b[2J gateway_id="gateway-1" topic="upstream" ms=1200\n',
  ]);
});
