// 2^53 is the largest 64-bit integer that is taken (CONTRACT §1), however it is written; what only rounds to it is refused.
import { MarkReadRequestSchema } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { readMessage } from "./read.ts";
import { parseJson } from "./text.ts";

const seqIdOf = (written: string): bigint =>
  readMessage(MarkReadRequestSchema, parseJson(`{"seq_id":${written}}`), "refuse").seqId;

test.each([
  ["9007199254740992", 2n ** 53n],
  ["9007199254740992.0", 2n ** 53n],
  ["9.007199254740992e15", 2n ** 53n],
  ["90071992547409920e-1", 2n ** 53n],
  ["-9007199254740992.00", -(2n ** 53n)],
])("%s is taken", (written, value) => {
  expect(seqIdOf(written)).toBe(value);
});

test.each([
  "9007199254740993",
  "9007199254740993.0",
  "-9007199254740993.0",
  "9.007199254740993e15",
  "9007199254740992.5",
  "9007199254740991.6",
])("%s is refused", (written) => {
  expect(() => seqIdOf(written)).toThrow("seq_id");
});
