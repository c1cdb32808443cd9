// What a back end answers is not believed: a table of answers, right and wrong.
import { create } from "@bufbuild/protobuf";
import { MessageSchema, ResumeResponseSchema } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { readResumeAnswer } from "./resume-answer.ts";

type Seqs = readonly (readonly [conversation: string, seq: number])[];

const many = (count: number, conversation: string, from = 1): Seqs =>
  Array.from({ length: count }, (_, index) => [conversation, from + index] as const);

test.each<[string, Seqs, Record<string, bigint>, string[], Record<string, bigint>, string[], string[]]>([
  [
    "in order and whole",
    [
      ["a", 3],
      ["a", 4],
      ["b", 1],
    ],
    { a: 4n, b: 1n },
    [],
    { a: 2n },
    ["a3", "a4", "b1"],
    [],
  ],
  [
    "out of order",
    [
      ["a", 4],
      ["b", 1],
      ["a", 3],
    ],
    { a: 4n, b: 1n },
    [],
    { a: 2n },
    ["a3", "a4", "b1"],
    [],
  ],
  [
    "twice",
    [
      ["a", 1],
      ["a", 1],
      ["a", 2],
    ],
    { a: 2n },
    [],
    {},
    ["a1", "a2"],
    [],
  ],
  [
    "below the cursor",
    [
      ["a", 1],
      ["a", 2],
      ["a", 3],
    ],
    { a: 3n },
    [],
    { a: 2n },
    ["a3"],
    [],
  ],
  ["with a gap at the cursor", [["a", 4]], { a: 4n }, [], { a: 2n }, [], ["a"]],
  [
    "with a gap in the middle",
    [
      ["a", 1],
      ["a", 3],
    ],
    { a: 3n },
    [],
    {},
    ["a1"],
    ["a"],
  ],
  ["short of the head", [["a", 1]], { a: 2n, b: 1n }, [], {}, ["a1"], ["a", "b"]],
  ["without heads", [["a", 1]], {}, [], {}, ["a1"], ["a"]],
  ["incomplete by its own word", [["a", 1]], { a: 1n }, ["a"], {}, ["a1"], ["a"]],
  ["a cursor beyond the head", [], { a: 2n }, [], { a: 9n }, [], []],
  ["a cursor of a conversation that is not the user's", [], { a: 0n }, [], { z: 9n }, [], []],
])("%s", (_name, messages, heads, incomplete, cursors, given, lacking) => {
  const answer = create(ResumeResponseSchema, {
    messages: messages.map(([conversationId, seq]) => create(MessageSchema, { conversationId, seqId: BigInt(seq) })),
    heads,
    incomplete,
  });
  const missed = readResumeAnswer(answer, cursors);
  expect(missed.messages.map(({ conversationId, seqId }) => `${conversationId}${seqId}`)).toEqual(given);
  expect(missed.incomplete).toEqual(lacking);
});

test("what the connection has then never exceeds a head", () => {
  const messages = [create(MessageSchema, { conversationId: "a", seqId: 3n })];
  const answer = create(ResumeResponseSchema, { messages, heads: { a: 3n, b: 2n, c: 5n, d: 1n } });
  const { through, changed } = readResumeAnswer(answer, { a: 2n, b: 9n, c: 4n });
  expect(Object.fromEntries(through)).toEqual({ a: 3n, b: 2n, c: 4n, d: 0n });
  expect([...changed.keys()].sort()).toEqual(["a", "b", "c"]);
});

test("more than the bounds is cut", () => {
  const messages = ["a", "b", "c", "d", "e", "f"].flatMap((conversation) => [...many(201, conversation)]);
  const heads = Object.fromEntries(["a", "b", "c", "d", "e", "f"].map((conversation) => [conversation, 201n]));
  const answer = create(ResumeResponseSchema, {
    messages: messages.map(([conversationId, seq]) => create(MessageSchema, { conversationId, seqId: BigInt(seq) })),
    heads,
  });
  const missed = readResumeAnswer(answer, {});
  expect([missed.messages.length, missed.incomplete.length]).toEqual([1000, 6]);
  expect(missed.through.get("a")).toBe(200n);
  expect(missed.through.get("f")).toBe(0n);
});
