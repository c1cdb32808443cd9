import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { failure, type LogLevel } from "@im-gateway/core";
import { ErrorInfoSchema } from "@im-gateway/proto";
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

function errorInfo(reason: string) {
  return create(ErrorInfoSchema, { reason, domain: "elsewhere" });
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
    const nasty = 'a\nb\r\t\u001b[31m"\\\u0000\u007f\u009b31m\u2028\u2029\u202e\ud800 测试';
    log("warn", nasty, { nasty, inner: { nasty: [nasty] } });
    const line = lines.join("").slice(0, -1);
    expect(line).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u);
    expect(JSON.parse(line)).toMatchObject({ message: nasty, nasty, inner: { nasty: [nasty] } });
  });

  test("never has a key twice", () => {
    const { lines, log } = record();
    log("info", "real", { level: "x", module: "x", message: "x", gateway_id: "x", timestamp: "x" });
    expect(lines[0]).toContain('"message":"real","gateway_id":"gateway-1"');
    expect(lines[0]).toContain('"level_":"x","module_":"x","message_":"x","gateway_id_":"x","timestamp_":"x"}');
  });

  test("is no longer than its fields may be", () => {
    const { lines, log } = record();
    const long = "x".repeat(100_000);
    log("info", long, { conversation_id: long });
    const cut = `${"x".repeat(1024)}…`;
    expect(JSON.parse(lines.join(""))).toMatchObject({ message: cut, conversation_id: cut });
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

  test.each<[string, LogLevel, LogLevel, Error, boolean]>([
    ["a fault of our own on an error line", "info", "error", new TypeError("secret\nsecret"), true],
    ["one on a warning", "info", "warn", new TypeError("secret"), false],
    ["one on a warning of a debug logger", "debug", "warn", new TypeError("secret"), true],
    ["one behind a ConnectError", "info", "error", failure(Code.Internal, "X", "x", { cause: new Error("x") }), true],
    ["a system's error", "debug", "error", cause, false],
    ["a ConnectError", "debug", "error", failure(Code.Unavailable, "X", "x"), false],
  ])("%s: the stack, without its message", (_name, level, line, error, hasStack) => {
    const { lines, log } = record({ level });
    log(line, "x", { error });
    expect(lines.join("").includes("logger.test.ts")).toBe(hasStack);
    expect(lines.join("").split("secret").length).toBe(error.message.split("secret").length);
  });

  test.each<[string, Error, string]>([
    ["gRPC's", Object.assign(new Error("x"), { code: 14, details: "no connection", metadata: {} }), "unavailable"],
    ["gRPC's, one that there is not", Object.assign(new Error("x"), { code: 99, details: "" }), "99"],
    ["a DOMException's", new DOMException("x", "InvalidStateError"), "11"],
  ])("has a code in words where that is known: %s", (_name, error, code) => {
    const { lines, log } = record();
    log("warn", "x", { error });
    expect(JSON.parse(lines.join("")).error).toEqual({ message: "x", code });
  });

  test("has a name where it has no message", () => {
    const { lines, log } = record();
    log("warn", "x", { error: new TypeError("") });
    expect(JSON.parse(lines.join("")).error).toEqual({ message: "TypeError" });
  });

  const quoting = Object.assign(new Error('unexpected "canary"'), { code: "ERR_QUOTES" });
  test.each<[string, Error, unknown]>([
    [
      "a caller's fault",
      failure(Code.InvalidArgument, "INVALID_FIELD", "canary: unknown field", { cause: quoting }),
      { code: "invalid_argument", reason: "INVALID_FIELD", cause: { code: "ERR_QUOTES" } },
    ],
    ["a back end's answer", new ConnectError("canary is taken", Code.Internal), { code: "internal" }],
    [
      "a back end's reason that is none",
      Object.assign(new ConnectError("canary", Code.Unknown), {
        details: [{ type: ErrorInfoSchema.typeName, value: toBinary(ErrorInfoSchema, errorInfo("canary")) }],
      }),
      { code: "unknown" },
    ],
  ])("%s is not quoted", (_name, error, shown) => {
    const { lines, log } = record({ level: "debug" });
    log("error", "x", { error });
    expect(JSON.parse(lines.join("")).error).toEqual(shown);
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
