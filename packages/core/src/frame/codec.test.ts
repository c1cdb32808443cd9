import { create, type JsonObject } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { ClientFrameSchema, ServerFrameSchema } from "@im-gateway/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EncodedFrame } from "../adapters.ts";
import { failure, reasonOf } from "../errors.ts";
import { decodeClientFrame, encodeForeignFrame, encodeServerFrame, errorFrame, type ServerFrameData } from "./codec.ts";

const decoded = ({ text }: EncodedFrame): JsonObject => JSON.parse(text);

describe("client frames", () => {
  test("the seed's example", () => {
    const { messageId, frame } = decodeClientFrame(
      '{"type":"send-message","message_id":"msg123","data":{"conversation_id":"conv123","message_type":1,"content":"Hello World!","client_msg_id":"client123"},"timestamp":1634567890123}',
    );
    expect(messageId).toBe("msg123");
    expect(frame?.data).toMatchObject({
      case: "sendMessage",
      value: { conversationId: "conv123", messageType: 1, content: "Hello World!", clientMsgId: "client123" },
    });
  });

  test.each([
    ["send-message", { conversation_id: "c", message_type: 1, content: "x", client_msg_id: "m" }],
    ["mark-read", { conversation_id: "c", seq_id: 3 }],
    ["typing", { conversation_id: "c", typing: true }],
    ["call", { method: "im.logic.v1.GroupService/GetGroup", request: { group_id: "g" }, timeout_ms: 100 }],
    ["resume", { cursors: { c: 7 } }],
    ["auth", { token: "t" }],
    ["ping", undefined],
  ])("%s decodes", (type, data) => {
    const { frame } = decodeClientFrame(JSON.stringify({ type, message_id: "m1", data, timestamp: 1, unknown: 1 }));
    expect(frame?.data.case).toBe(type.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()));
  });

  test("the contract has no frame that this table forgot", () => {
    expect(ClientFrameSchema.oneofs[0]?.fields).toHaveLength(7);
  });

  test.each([
    ["not JSON", "{", "MALFORMED_JSON", ""],
    ["an array", "[]", "MALFORMED_FRAME", ""],
    ["no type", '{"message_id":"m"}', "INVALID_FIELD", "m"],
    ["a type that is no text", '{"type":1,"message_id":"m"}', "INVALID_FIELD", "m"],
    ["an unknown type", '{"type":"fly","message_id":"m"}', "UNKNOWN_FRAME_TYPE", "m"],
    ["a server's type", '{"type":"pong","message_id":"m"}', "UNKNOWN_FRAME_TYPE", "m"],
    ["the name of the field", '{"type":"send_message","message_id":"m"}', "UNKNOWN_FRAME_TYPE", "m"],
    ["data that is no object", '{"type":"ping","message_id":"m","data":[]}', "INVALID_FIELD", "m"],
    ["a missing field", '{"type":"mark-read","message_id":"m","data":{"conversation_id":"c"}}', "INVALID_FIELD", "m"],
    [
      "an empty required field",
      '{"type":"typing","message_id":"m","data":{"conversation_id":""}}',
      "INVALID_FIELD",
      "m",
    ],
    [
      "a seq_id over 2^53",
      '{"type":"mark-read","message_id":"m","data":{"conversation_id":"c","seq_id":9007199254740993}}',
      "INVALID_FIELD",
      "m",
    ],
    ["a message_id that is no id", '{"type":"ping","message_id":true}', "INVALID_FIELD", ""],
  ])("%s is refused and its message_id echoed", (_name, text, reason, messageId) => {
    const result = decodeClientFrame(text);
    expect(result.messageId).toBe(messageId);
    expect(result.error && reasonOf(result.error)).toBe(reason);
  });

  test.each([
    ["7", "7"],
    ["12345678901234567890", "12345678901234567890"],
  ])("a message_id may come as the number %s", (json, messageId) => {
    expect(decodeClientFrame(`{"type":"ping","message_id":${json}}`)).toMatchObject({
      messageId,
      frame: { messageId },
    });
  });

  test("never throws", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc
            .record({ type: fc.constantFrom("call", "resume"), data: fc.jsonValue() })
            .map((frame) => JSON.stringify(frame)),
        ),
        (text) => {
          const { frame, error } = decodeClientFrame(text);
          expect(frame === undefined).toBe(error !== undefined);
        },
      ),
    );
  });
});

describe("server frames", () => {
  /** CONTRACT §4: every frame with its fields, in the order of the table. */
  const table: readonly (readonly [string, ServerFrameData, readonly string[]])[] = [
    [
      "connected",
      { case: "connected", value: {} },
      [
        "connection_id",
        "gateway_id",
        "user_id",
        "device_id",
        "heartbeat_interval_ms",
        "max_frame_bytes",
        "expires_at",
        "server_time",
      ],
    ],
    ["authenticated", { case: "authenticated", value: {} }, ["user_id", "device_id", "expires_at"]],
    [
      "new-message",
      { case: "newMessage", value: {} },
      ["message_id", "conversation_id", "sender_id", "message_type", "content", "seq_id", "timestamp", "client_msg_id"],
    ],
    ["message-ack", { case: "messageAck", value: {} }, ["client_msg_id", "status", "trace_id"]],
    [
      "message-stored",
      { case: "messageStored", value: {} },
      ["client_msg_id", "message_id", "conversation_id", "seq_id", "timestamp"],
    ],
    ["ack", { case: "ack", value: {} }, []],
    ["pong", { case: "pong", value: {} }, []],
    ["reply", { case: "reply", value: { response: {} } }, ["response"]],
    ["resumed", { case: "resumed", value: {} }, ["complete", "count"]],
    ["resync-required", { case: "resyncRequired", value: {} }, ["reason", "conversation_ids"]],
    ["message-read", { case: "messageRead", value: {} }, ["conversation_id", "user_id", "seq_id"]],
    ["typing", { case: "typing", value: {} }, ["conversation_id", "user_id", "typing"]],
    ["online-status", { case: "onlineStatus", value: {} }, ["user_id", "online", "last_seen"]],
    ["conversation-updated", { case: "conversationUpdated", value: {} }, ["conversation_id", "change"]],
    ["message-recalled", { case: "messageRecalled", value: {} }, ["conversation_id", "message_id", "seq_id"]],
    ["error", { case: "error", value: {} }, ["code", "reason", "message", "trace_id", "details"]],
    [
      "error",
      { case: "error", value: { retryAfterMs: 1n, clientMsgId: "c" } },
      ["code", "reason", "message", "retry_after_ms", "trace_id", "details", "client_msg_id"],
    ],
    ["expiring", { case: "expiring", value: {} }, ["expires_at"]],
    ["kicked", { case: "kicked", value: {} }, ["reason"]],
    ["kicked", { case: "kicked", value: { byDevice: "d" } }, ["reason", "by_device"]],
    ["goaway", { case: "goaway", value: {} }, ["reason", "reconnect_after_ms", "reconnect_within_ms"]],
  ];

  test.each(table)("%s", (type, data, fields) => {
    const frame = decoded(encodeServerFrame(data, "m1", 1634567890123));
    expect(Object.keys(frame)).toEqual(["type", "message_id", "data", "timestamp"]);
    expect(frame).toMatchObject({ type, message_id: "m1", timestamp: 1634567890123 });
    expect(Object.keys(Object(frame.data))).toEqual(fields);
  });

  test("the contract has no frame that this table forgot", () => {
    expect(new Set(table.map(([type]) => type)).size).toBe(ServerFrameSchema.oneofs[0]?.fields.length);
  });

  test("a frame of a back end is checked, and its unknown fields stay behind", () => {
    expect(
      decoded(encodeForeignFrame("message-read", { conversationId: "c", user_id: 7, seq_id: 3, extra: 1 }, 5)),
    ).toEqual({
      type: "message-read",
      message_id: "",
      data: { conversation_id: "c", user_id: "7", seq_id: 3 },
      timestamp: 5,
    });
    expect(() => encodeForeignFrame("fly", {}, 5)).toThrow("unknown frame type");
    expect(() => encodeForeignFrame("send-message", {}, 5)).toThrow("unknown frame type");
    expect(() => encodeForeignFrame("message-read", { seq_id: "x" }, 5)).toThrow("seq_id");
  });

  test("an error carries code, reason, wait and details", () => {
    const error = failure(Code.ResourceExhausted, "UPSTREAM_BUSY", "later", {
      retryAfterMs: 1500,
      violations: [{ field: "f", description: "d" }],
    });
    expect(decoded(encodeServerFrame(errorFrame(error, "t1", "c1"), "", 0)).data).toEqual({
      code: "resource_exhausted",
      reason: "UPSTREAM_BUSY",
      message: "later",
      retry_after_ms: 1500,
      trace_id: "t1",
      client_msg_id: "c1",
      details: [
        {
          "@type": "type.googleapis.com/google.rpc.ErrorInfo",
          reason: "UPSTREAM_BUSY",
          domain: "im-gateway",
          metadata: {},
        },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retry_delay: "1.500s" },
        {
          "@type": "type.googleapis.com/google.rpc.BadRequest",
          field_violations: [{ field: "f", description: "d", reason: "" }],
        },
      ].map((detail) => expect.objectContaining(detail)),
    });
  });

  test("an unset case is a fault of ours", () => {
    expect(() => encodeServerFrame(create(ServerFrameSchema).data, "", 0)).toThrow("without data");
  });
});
