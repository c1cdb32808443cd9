// The fast path against the way of all messages: the same message, or undefined; the same JSON, in the same order.
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import {
  DownstreamRecordSchema,
  MessageAckSchema,
  MessageType,
  NewMessageSchema,
  SendMessageSchema,
  UpstreamRecordSchema,
} from "@im-gateway/proto";
import fc, { type Arbitrary } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  readDownstreamRecord,
  readSendMessage,
  writeMessageAck,
  writeNewMessage,
  writeUpstreamRecord,
} from "./fast-path.ts";
import { readMessage } from "./read.ts";
import { missingFields, requiredFields } from "./required.ts";
import { type JsonTree, parseJson } from "./text.ts";
import { writeMessage } from "./write.ts";

const text = fc.string({ unit: "grapheme", maxLength: 8 });
const safe = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n });
const messageType = fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 });
const strings = fc.array(text, { maxLength: 3 });
/** Whatever may stand in a field, right or wrong. */
const anything: Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: text },
  { weight: 3, arbitrary: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })) },
  fc.constantFrom(
    null,
    true,
    false,
    "",
    0,
    -0,
    1,
    2 ** 53,
    2 ** 53 + 2,
    -(2 ** 53) - 2,
    2 ** 31,
    -(2 ** 31),
    1.5,
    "1",
    "TEXT",
  ),
  strings,
  fc.constantFrom({}, [], { a: "b" }, { a: 1 }, ["a", 1], [null], [["a"]]),
);

/** Objects with the fields of a message, snake_case or lowerCamelCase, each fitting, or anything. */
function jsonOf(desc: DescMessage, fitting: Readonly<Record<string, Arbitrary<unknown>>>): Arbitrary<object> {
  const right = fc.record(Object.fromEntries(Object.entries(fitting)), { requiredKeys: [] });
  const names = desc.fields.flatMap(({ name, jsonName }) => [name, jsonName]);
  const wrong = fc.dictionary(fc.constantFrom(...names, "extra", "$typeName"), anything, { maxKeys: 2 });
  return fc.oneof(
    right,
    fc.tuple(right, wrong).map(([own, others]) => ({ ...own, ...others })),
  );
}

function parsed(value: object): JsonTree {
  return parseJson(JSON.stringify(value));
}

/** Undefined where the reader or a required field refuses. */
function slowly<D extends DescMessage>(desc: D, tree: JsonTree): MessageShape<D> | undefined {
  try {
    const message = readMessage(desc, tree, "ignore");
    return missingFields(desc, message, requiredFields(desc)).length === 0 ? message : undefined;
  } catch {
    return undefined;
  }
}

describe("what it reads is what all messages give", () => {
  test("send-message", () => {
    const frames = jsonOf(SendMessageSchema, {
      conversation_id: text,
      message_type: messageType,
      content: text,
      client_msg_id: text,
    });
    fc.assert(
      fc.property(frames, (value) => {
        const tree = parsed(value);
        const fast = readSendMessage(tree);
        if (fast !== undefined) {
          expect(fast).toStrictEqual({ ...slowly(SendMessageSchema, tree) });
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("a downstream record", () => {
    const records = jsonOf(DownstreamRecordSchema, {
      trace_id: text,
      target_user_id: text,
      message_id: text,
      conversation_id: text,
      sender_id: text,
      message_type: messageType,
      content: text,
      seq_id: safe.map(Number),
      timestamp: safe.map(Number),
      headers: fc.constantFrom({}, { a: "b" }),
      target_user_ids: strings,
      target_connection_ids: strings,
      exclude_connection_ids: strings,
      broadcast: fc.boolean(),
      client_msg_id: text,
      type: text,
      data: fc.constantFrom({}, { a: 1 }),
      user_id: text,
      device_id: text,
      sid: text,
      jti: text,
    });
    fc.assert(
      fc.property(records, (value) => {
        const tree = parsed(value);
        const fast = readDownstreamRecord(tree);
        if (fast !== undefined) {
          expect(fast).toStrictEqual({ ...slowly(DownstreamRecordSchema, tree) });
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each<[string, unknown]>([
    ["nothing", null],
    ["an array", []],
    ["a string", "x"],
    ["a number", 1],
  ])("%s is nothing to it", (_name, tree) => {
    expect([
      readSendMessage(parseJson(JSON.stringify(tree))),
      readDownstreamRecord(parseJson(JSON.stringify(tree))),
    ]).toEqual([undefined, undefined]);
  });

  test("the usual ones go this way", () => {
    const sent = { conversation_id: "c", message_type: 1, content: "hello", client_msg_id: "m" };
    expect(readSendMessage(sent)?.content).toBe("hello");
    // The seed's, and one with all fields that im-logic writes.
    const seed = { trace_id: "t", target_user_id: "u", message_id: "m", conversation_id: "c", sender_id: "s" };
    const record = { ...seed, message_type: 1, content: "hello", seq_id: 1001, timestamp: 1634567890, headers: {} };
    expect(readDownstreamRecord(record)?.seqId).toBe(1001n);
    const all = writeMessage(DownstreamRecordSchema, create(DownstreamRecordSchema, { targetUserIds: ["a", "b"] }));
    expect(readDownstreamRecord(parsed(all))?.targetUserIds).toEqual(["a", "b"]);
  });
});

describe("what it writes is what all messages give", () => {
  const beyond = fc.oneof(
    { weight: 9, arbitrary: safe },
    { weight: 1, arbitrary: fc.bigInt({ min: 2n ** 53n, max: 2n ** 62n }) },
  );
  const known = fc.constantFrom(MessageType.UNSPECIFIED, MessageType.TEXT, MessageType.SYSTEM);
  const optional = <T>(value: Arbitrary<T>): Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
  const sameText = (fast: object | undefined, slow: () => object, integers: readonly (bigint | undefined)[]): void => {
    if (fast === undefined) {
      expect(integers.some((value = 0n) => !Number.isSafeInteger(Number(value)))).toBe(true);
    } else {
      expect(JSON.stringify(fast)).toBe(JSON.stringify(slow()));
    }
  };

  test("an upstream record", () => {
    const records = fc.record({
      traceId: text,
      userId: text,
      gatewayId: text,
      conversationId: text,
      content: text,
      clientMsgId: text,
      deviceId: text,
      connectionId: text,
      messageType: known,
      timestamp: beyond,
      gatewayEpoch: beyond,
      headers: fc.dictionary(
        fc.string({ minLength: 1 }).filter((name) => name !== "__proto__"),
        text,
        { maxKeys: 2 },
      ),
    });
    fc.assert(
      fc.property(records, (value) => {
        const record = create(UpstreamRecordSchema, value);
        sameText(writeUpstreamRecord(record), () => writeMessage(UpstreamRecordSchema, record), [
          value.timestamp,
          value.gatewayEpoch,
        ]);
      }),
    );
  });

  test("new-message", () => {
    const messages = fc.record({
      messageId: optional(text),
      conversationId: optional(text),
      senderId: optional(text),
      messageType: optional(known),
      content: optional(text),
      seqId: optional(beyond),
      timestamp: optional(beyond),
      clientMsgId: optional(text),
    });
    fc.assert(
      fc.property(messages, (value) => {
        const given = Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined));
        sameText(writeNewMessage(given), () => writeMessage(NewMessageSchema, create(NewMessageSchema, given)), [
          value.seqId,
          value.timestamp,
        ]);
      }),
    );
  });

  test("message-ack", () => {
    fc.assert(
      fc.property(fc.record({ clientMsgId: text, status: text, traceId: text }, { requiredKeys: [] }), (value) => {
        sameText(writeMessageAck(value), () => writeMessage(MessageAckSchema, create(MessageAckSchema, value)), []);
      }),
    );
  });
});
