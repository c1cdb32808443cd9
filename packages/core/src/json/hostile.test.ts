// JSON that JSON.parse takes and that would do harm further in.
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { ConversationSchema, DownstreamRecordSchema, SendMessageSchema } from "@im-gateway/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readMessage } from "./read.ts";
import { missingFields, requiredFields } from "./required.ts";
import { parseJson, withoutBigints } from "./text.ts";
import { writeMessage } from "./write.ts";

test.each([
  ["a lone surrogate that is not escaped", '"\ud800"'],
  ["one in a key", '{"a\udc00":1}'],
  ["a number that no double holds", "[1e400]"],
  ["a negative one", '{"a":{"b":-1e400}}'],
  ["a long one with a fraction", `${"9".repeat(400)}.5`],
])("%s is refused", (_name, text) => {
  expect(() => parseJson(text)).toThrow(ConnectError);
});

test("pairs of surrogates pass, whichever way they are written", () => {
  expect(parseJson('{"😀":"\\ud83d\\ude00😀"}')).toEqual({ "😀": "😀😀" });
});

test("names of Object.prototype are keys of maps and structs as any other", () => {
  const headers = '{"constructor":"b","toString":"c"}';
  const data = '{"a":[{"constructor":{"prototype":1}}],"valueOf":null}';
  const json = parseJson(`{"headers":${headers},"data":${data}}`);
  const written = writeMessage(DownstreamRecordSchema, readMessage(DownstreamRecordSchema, json, "refuse"));
  expect([written.headers, written.data].map((value) => JSON.stringify(value))).toEqual([headers, data]);
});

test("names of Object.prototype are no fields", () => {
  for (const name of ["constructor", "hasOwnProperty", "toString"]) {
    const json = parseJson(`{"${name}":{"content":"x"}}`);
    expect(() => readMessage(SendMessageSchema, json, "refuse")).toThrow(`${name}: unknown field`);
    expect(readMessage(SendMessageSchema, json, "ignore").content).toBe("");
  }
});

test("what people wrote is in no error, its causes included", () => {
  for (const text of [
    '{"content": a secret}',
    '"a secret',
    '{"content":"a secret",}',
    "[a secret]",
    '{"a secret":1,"a secret":2}',
  ]) {
    let thrown: unknown;
    try {
      parseJson(text);
    } catch (error) {
      thrown = error;
    }
    for (let error = thrown; error !== undefined; error = error instanceof Error ? error.cause : undefined) {
      expect(error instanceof Error && error.message).not.toContain("secret");
    }
    expect(thrown).toBeDefined();
  }
});

test("no more than 20 violations are told, however many there are", () => {
  const text = JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`, 0])));
  const thrown = (() => {
    try {
      readMessage(SendMessageSchema, parseJson(text), "refuse");
    } catch (error) {
      return error;
    }
    return undefined;
  })();
  expect(thrown instanceof ConnectError && thrown.rawMessage.split(";").length).toBe(20);
});

test("an integer beyond 2^53 is text to those who know no bigint, wherever it stands", () => {
  const tree = parseJson('{"a":[9007199254740993,{"b":-12345678901234567890}],"c":1}');
  expect(JSON.stringify(withoutBigints(tree))).toBe('{"a":["9007199254740993",{"b":"-12345678901234567890"}],"c":1}');
});

test("what was read as JSON can be written as JSON", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (data, headers) => {
      const text = JSON.stringify({ data, headers, seq_id: 1 });
      try {
        const record = readMessage(DownstreamRecordSchema, parseJson(text), "ignore");
        JSON.stringify(writeMessage(DownstreamRecordSchema, record));
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectError);
      }
    }),
  );
});

test("required fields that are absent or zero are named; others may be", () => {
  const required = requiredFields(SendMessageSchema);
  expect(required.map(({ name }) => name)).toEqual(["conversation_id", "message_type", "content", "client_msg_id"]);
  const partial = create(SendMessageSchema, { conversationId: "c", content: "" });
  expect(missingFields(SendMessageSchema, partial, required)).toEqual([
    { field: "message_type", description: "is required" },
    { field: "content", description: "is required" },
    { field: "client_msg_id", description: "is required" },
  ]);
  expect(requiredFields(ConversationSchema)).toEqual([]);
});

test.each([
  ["a million digits", "1".repeat(1_000_000)],
  ["50,000 large integers", `[${"1234567890123456789,".repeat(50_000)}1]`],
  ["300,000 arrays", `[${"[],".repeat(300_000)}1]`],
  ["200,000 colons in a text", `"${":".repeat(200_000)}"`],
])("%s take no more than linear time", (_name, text) => {
  const started = performance.now();
  parseJson(text);
  expect(performance.now() - started).toBeLessThan(1500);
});
