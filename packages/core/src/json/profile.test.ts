// Reading and writing by descriptors, held against each other and against the profile's rules (CONTRACT §1).
import { create, equals } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ConversationSchema,
  DownstreamRecordSchema,
  ListMessagesRequestSchema,
  MarkReadSchema,
  MessageSchema,
  MessageType,
  ResumeSchema,
  SendMessageSchema,
  UpdateMeRequestSchema,
  UpstreamRecordSchema,
} from "@im-gateway/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readMessage } from "./read.ts";
import { parseJson } from "./text.ts";
import { writeMessage } from "./write.ts";

function violations(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConnectError) {
      return error
        .findDetails(BadRequestSchema)
        .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field));
    }
    throw error;
  }
  return [];
}

const sendMessage = (text: string, unknownFields: "refuse" | "ignore" = "ignore") =>
  readMessage(SendMessageSchema, parseJson(text), unknownFields);

test("what was written is read back the same, for random records", () => {
  const int53 = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n });
  const text = fc.string({ unit: "grapheme" });
  const headers = fc.dictionary(text, text, { noNullPrototype: true });
  const upstream = fc.record({
    traceId: text,
    userId: text,
    conversationId: text,
    messageType: fc.constantFrom(MessageType.UNSPECIFIED, MessageType.TEXT, MessageType.SYSTEM),
    content: text,
    timestamp: int53,
    headers,
    gatewayEpoch: int53,
  });
  const downstream = fc.record({
    seqId: int53,
    targetUserIds: fc.array(text),
    broadcast: fc.boolean(),
    type: text,
    data: fc.option(fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.integer()), { noNullPrototype: true }), {
      nil: undefined,
    }),
  });
  fc.assert(
    fc.property(upstream, downstream, (up, { data, ...down }) => {
      fc.pre(![up.headers, data ?? {}].some((map) => Object.hasOwn(map, "__proto__")));
      const one = create(UpstreamRecordSchema, up);
      const oneAgain = readMessage(
        UpstreamRecordSchema,
        parseJson(JSON.stringify(writeMessage(UpstreamRecordSchema, one))),
        "refuse",
      );
      expect(equals(UpstreamRecordSchema, oneAgain, one)).toBe(true);
      const two = create(DownstreamRecordSchema, data === undefined ? down : { ...down, data });
      const twoAgain = readMessage(
        DownstreamRecordSchema,
        parseJson(JSON.stringify(writeMessage(DownstreamRecordSchema, two))),
        "refuse",
      );
      expect(equals(DownstreamRecordSchema, twoAgain, two)).toBe(true);
    }),
  );
});

describe("writing", () => {
  test("zero values are there, absent messages and optionals are not; enums and 64-bit integers are numbers", () => {
    const conversation = create(ConversationSchema, { conversationId: "c", type: 1, lastSeqId: 2n ** 53n });
    expect(writeMessage(ConversationSchema, conversation)).toEqual({
      conversation_id: "c",
      type: 1,
      name: "",
      avatar_url: "",
      owner_id: "",
      member_count: 0,
      last_seq_id: 9007199254740992,
      read_seq_id: 0,
      unread_count: 0,
      updated_at: 0,
    });
    const direct = create(ConversationSchema, { peerId: "", lastMessage: {} });
    expect(writeMessage(ConversationSchema, direct)).toMatchObject({
      peer_id: "",
      last_message: { seq_id: 0, content: "" },
    });
  });

  test("an integer beyond 2^53 is refused, not rounded", () => {
    expect(() => writeMessage(MessageSchema, create(MessageSchema, { seqId: 2n ** 53n + 1n }))).toThrow("2^53");
  });
});

describe("reading", () => {
  test("snake_case and lowerCamelCase, enums by number and by name, null as absent", () => {
    const expected = { conversationId: "c", messageType: 2, content: "", clientMsgId: "m" };
    for (const text of [
      '{"conversation_id":"c","message_type":2,"content":null,"client_msg_id":"m"}',
      '{"conversationId":"c","messageType":"image","clientMsgId":"m"}',
      '{"conversation_id":"c","messageType":"MESSAGE_TYPE_IMAGE","client_msg_id":"m"}',
    ]) {
      expect(sendMessage(text)).toMatchObject(expected);
    }
    expect(sendMessage('{"message_type":77}').messageType).toBe(77);
  });

  test("an id that came as a number keeps every digit; other texts do not come as numbers", () => {
    expect(sendMessage('{"conversation_id":12345678901234567890}').conversationId).toBe("12345678901234567890");
    expect(sendMessage('{"client_msg_id":7}').clientMsgId).toBe("7");
    expect(violations(() => sendMessage('{"content":7}'))).toEqual(["content"]);
    expect(violations(() => sendMessage('{"content":12345678901234567890}'))).toEqual(["content"]);
    expect(violations(() => sendMessage('{"conversation_id":1.5}'))).toEqual(["conversation_id"]);
  });

  test.each([
    ["9007199254740992", 2n ** 53n],
    ["-9007199254740992", -(2n ** 53n)],
    ['"42"', 42n],
    ["1e3", 1000n],
    ["9007199254740993", undefined],
    ["-9007199254740993", undefined],
    ["1e300", undefined],
    ["1.5", undefined],
    ['"0x10"', undefined],
    ['"1e2"', undefined],
    ['" 1"', undefined],
    ["true", undefined],
    ["[1]", undefined],
  ])("a 64-bit integer from %s", (json, value) => {
    const read = () => readMessage(MarkReadSchema, parseJson(`{"seq_id":${json}}`), "refuse").seqId;
    if (value === undefined) {
      expect(violations(read)).toEqual(["seq_id"]);
    } else {
      expect(read()).toBe(value);
    }
  });

  test("unknown fields are refused or ignored, as asked; every bad field is named", () => {
    const text = '{"conversation_id":[],"message_type":"flying","content":true,"extra":1,"more":{"x":1}}';
    expect(violations(() => sendMessage(text, "refuse"))).toEqual([
      "conversation_id",
      "message_type",
      "content",
      "extra",
      "more",
    ]);
    expect(violations(() => sendMessage(text))).toEqual(["conversation_id", "message_type", "content"]);
    expect(sendMessage('{"content":"x","extra":1}').content).toBe("x");
  });

  test("both spellings of one field, and two fields of a oneof, are refused", () => {
    expect(violations(() => sendMessage('{"client_msg_id":"a","clientMsgId":"a"}'))).toEqual(["client_msg_id"]);
    const both = '{"before_seq_id":1,"after_seq_id":2}';
    expect(violations(() => readMessage(ListMessagesRequestSchema, parseJson(both), "refuse"))).toEqual([
      "after_seq_id",
    ]);
  });

  test("paths go into lists, maps and messages", () => {
    const record = '{"target_user_ids":["a",{}],"headers":{"k":1},"data":[]}';
    expect(violations(() => readMessage(DownstreamRecordSchema, parseJson(record), "ignore"))).toEqual([
      "target_user_ids[1]",
      "headers.k",
      "data",
    ]);
    const conversation = '{"last_message":{"seq_id":"x"}}';
    expect(violations(() => readMessage(ConversationSchema, parseJson(conversation), "refuse"))).toEqual([
      "last_message.seq_id",
    ]);
    expect(readMessage(ResumeSchema, parseJson('{"cursors":{"a":1,"b":"2"}}'), "ignore").cursors).toEqual({
      a: 1n,
      b: 2n,
    });
  });

  test("an optional field knows whether it was given", () => {
    expect(readMessage(UpdateMeRequestSchema, parseJson('{"nickname":""}'), "refuse")).toMatchObject({ nickname: "" });
    expect(readMessage(UpdateMeRequestSchema, parseJson("{}"), "refuse").nickname).toBeUndefined();
  });

  test("what is no object is refused", () => {
    for (const text of ["[]", "1", '"x"', "null"]) {
      expect(violations(() => sendMessage(text))).toEqual([""]);
    }
  });

  test("never throws anything but ConnectErrors", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const schema of [DownstreamRecordSchema, SendMessageSchema, ConversationSchema, ResumeSchema]) {
          try {
            readMessage(schema, parseJson(JSON.stringify(value)), "ignore");
          } catch (error) {
            expect(error).toBeInstanceOf(ConnectError);
          }
        }
      }),
    );
  });
});
