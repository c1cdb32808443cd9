// The records of CONTRACT §5, to the letter: what the gateway writes on `upstream`, what it reads from its own topic.

import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { UpstreamRecordSchema, UserEventSchema } from "@im-gateway/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConsumerRecord } from "./adapters.ts";
import { fromDownstreamRecord } from "./downstream.ts";
import { reasonOf } from "./errors.ts";
import { decodeRecord, encodeRecord } from "./record/codec.ts";
import { toUpstreamRecord } from "./upstream.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parsed = (value: string | Uint8Array): object => JSON.parse(String(value));
const consumed = (value: unknown): ConsumerRecord => ({
  topic: "downstream-x",
  partition: 0,
  offset: "0",
  key: null,
  value:
    value instanceof Uint8Array || value === null
      ? value
      : bytes(typeof value === "string" ? value : JSON.stringify(value)),
  headers: {},
});
const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));
const frameOf = (value: unknown): object => parsed(fromDownstreamRecord(consumed(value)).encode(1).text);

const seedDownstream = {
  trace_id: "trace-123",
  target_user_id: "user456",
  message_id: "msg123",
  conversation_id: "conv123",
  sender_id: "user123",
  message_type: 1,
  content: "Hello World!",
  seq_id: 1001,
  timestamp: 1634567890,
  headers: {},
};

test("upstream: the seed's record and what the contract adds", () => {
  const record = toUpstreamRecord(
    { conversationId: "conv123", messageType: 1, content: "Hello World!", clientMsgId: "client123" },
    { userId: "user123", deviceId: "d1", connectionId: "c1" },
    { gatewayId: "gateway-001", gatewayEpoch: 42, topic: "upstream" },
    { traceId: "trace-123", traceparent: "00-trace" },
    1634567890999,
  );
  expect(record).toMatchObject({ topic: "upstream", key: "conv123", headers: { traceparent: "00-trace" } });
  expect(Object.entries(parsed(record.value))).toEqual(
    Object.entries({
      trace_id: "trace-123",
      user_id: "user123",
      gateway_id: "gateway-001",
      conversation_id: "conv123",
      message_type: 1,
      content: "Hello World!",
      client_msg_id: "client123",
      timestamp: 1634567890,
      headers: {},
      device_id: "d1",
      connection_id: "c1",
      gateway_epoch: 42,
    }),
  );
});

test("the seed's upstream record is read as it stands", () => {
  const seed =
    '{"trace_id":"trace-123","user_id":"user123","gateway_id":"gateway-001","conversation_id":"conv123","message_type":1,"content":"Hello World!","client_msg_id":"client123","timestamp":1634567890,"headers":{}}';
  expect(decodeRecord(UpstreamRecordSchema, bytes(seed))).toMatchObject({
    userId: "user123",
    timestamp: 1634567890n,
    connectionId: "",
  });
});

test("a user event has every field of the contract", () => {
  expect(Object.keys(parsed(encodeRecord(UserEventSchema, create(UserEventSchema))))).toEqual([
    "event",
    "user_id",
    "device_id",
    "connection_id",
    "gateway_id",
    "gateway_epoch",
    "seq",
    "reason",
    "timestamp",
  ]);
});

describe("downstream", () => {
  test("the seed's record is a new-message, its time in milliseconds", () => {
    expect(fromDownstreamRecord(consumed(seedDownstream)).recipients).toEqual({
      userIds: ["user456"],
      connectionIds: [],
      excludedConnectionIds: [],
      broadcast: false,
    });
    expect(frameOf(seedDownstream)).toEqual({
      type: "new-message",
      message_id: "",
      data: {
        message_id: "msg123",
        conversation_id: "conv123",
        sender_id: "user123",
        message_type: 1,
        content: "Hello World!",
        seq_id: 1001,
        timestamp: 1634567890000,
        client_msg_id: "",
      },
      timestamp: 1,
    });
  });

  test("ids that came as numbers keep every digit", () => {
    const text = '{"target_user_id":9223372036854775807,"message_id":12345678901234567890,"conversation_id":7}';
    expect(fromDownstreamRecord(consumed(text)).recipients.userIds).toEqual(["9223372036854775807"]);
    expect(frameOf(text)).toMatchObject({ data: { message_id: "12345678901234567890", conversation_id: "7" } });
  });

  test("all kinds of targets", () => {
    const record = {
      target_user_id: "a",
      target_user_ids: ["b", "c"],
      target_connection_ids: ["d"],
      exclude_connection_ids: ["e"],
      broadcast: true,
    };
    expect(fromDownstreamRecord(consumed(record)).recipients).toEqual({
      userIds: ["a", "b", "c"],
      connectionIds: ["d"],
      excludedConnectionIds: ["e"],
      broadcast: true,
    });
  });

  test("any other server frame comes with data; an error names its message also when only the record does", () => {
    const read = { target_user_id: "a", type: "message-read", data: { conversation_id: "c", user_id: "u", seq_id: 3 } };
    expect(frameOf(read)).toMatchObject({ type: "message-read", data: read.data });
    const error = { target_connection_ids: ["d"], client_msg_id: "m", type: "error", data: { code: "not_found" } };
    expect(frameOf(error)).toMatchObject({ type: "error", data: { code: "not_found", client_msg_id: "m" } });
    for (const data of [{ client_msg_id: "own" }, { clientMsgId: "own" }]) {
      expect(frameOf({ ...error, data })).toMatchObject({ data: { client_msg_id: "own" } });
    }
    expect(frameOf({ ...error, data: undefined })).toMatchObject({ data: { client_msg_id: "m" } });
    expect(frameOf({ ...read, client_msg_id: "m" })).toMatchObject({ data: read.data });
  });

  test.each([
    ["no value", null],
    ["an empty value", ""],
    ["invalid UTF-8", new Uint8Array([0xff])],
    ["not JSON", "hello"],
    ["an array", []],
    ["no target", { content: "x" }],
    ["1,001 targets", { target_user_ids: Array.from({ length: 1001 }, (_, n) => `u${n}`) }],
    ["an unknown type", { target_user_id: "a", type: "fly" }],
    ["a client's type", { target_user_id: "a", type: "send-message" }],
    ["a seq_id that is text", { ...seedDownstream, seq_id: "many" }],
    ["a seq_id over 2^53", JSON.stringify(seedDownstream).replace("1001", "9007199254740993")],
    ["a frame without its data", { target_user_id: "a", type: "message-read" }],
    ["data that does not fit", { target_user_id: "a", type: "message-read", data: { seq_id: [] } }],
    ["a duplicate key", '{"target_user_id":"a","target_user_id":"b"}'],
  ])("%s is poison", (_name, value) => {
    expect(() => frameOf(value)).toThrow(ConnectError);
  });

  test.each([
    ["no value", null, "EMPTY_RECORD"],
    [
      "text that is no UTF-8, inside otherwise good JSON",
      latin1(JSON.stringify({ ...seedDownstream, content: "é" })),
      "MALFORMED_JSON",
    ],
    ["a bad field", bytes('{"broadcast":1}'), "INVALID_FIELD"],
  ])("%s has its reason", (_name, value, reason) => {
    expect(() => frameOf(value)).toThrow(ConnectError);
    let thrown: unknown;
    try {
      frameOf(value);
    } catch (error) {
      thrown = error;
    }
    expect(thrown instanceof ConnectError && reasonOf(thrown)).toBe(reason);
  });

  test("new-message by its name is the same, unless it brings its data", () => {
    expect(frameOf({ ...seedDownstream, type: "new-message" })).toEqual(frameOf(seedDownstream));
    const data = { message_id: "own", timestamp: 1634567890123 };
    expect(frameOf({ ...seedDownstream, type: "new-message", data })).toMatchObject({
      type: "new-message",
      data: { ...data, content: "" },
    });
  });

  test("1,000 targets are not", () => {
    const record = { target_user_ids: Array.from({ length: 1000 }, (_, n) => `u${n}`) };
    expect(fromDownstreamRecord(consumed(record)).recipients.userIds).toHaveLength(1000);
  });

  test("whatever comes, only ConnectErrors are thrown", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.uint8Array(),
          fc.record({ target_user_id: fc.string(), type: fc.constantFrom("", "error", "reply"), data: fc.jsonValue() }),
        ),
        (value) => {
          try {
            frameOf(value);
          } catch (error) {
            expect(error).toBeInstanceOf(ConnectError);
          }
        },
      ),
    );
  });
});
