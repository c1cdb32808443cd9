import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { reasonOf } from "../errors.ts";
import { maxJsonDepth, parseJson } from "./text.ts";

function refusal(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof ConnectError) {
      return `${reasonOf(error)}: ${error.rawMessage}`;
    }
    throw error;
  }
  throw new Error(`accepted: ${text.slice(0, 100)}`);
}

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

test("agrees with JSON.parse on every value", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.boolean(), (value, pretty) => {
      const text = JSON.stringify(value, null, pretty ? 2 : 0);
      fc.pre(!text.includes("__proto__") && !/\d{16}/.test(text));
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }),
  );
});

test("throws only ConnectErrors, on any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]:,"\\ud8 0123eE+-.truefalsn') }), (text) => {
      try {
        parseJson(text);
      } catch (error) {
        expect(error).toBeInstanceOf(ConnectError);
      }
    }),
  );
});

describe("refused", () => {
  test.each([
    ["nothing", "", "malformed"],
    ["a bare word", "hello", "malformed"],
    ["two values", "{} {}", "malformed"],
    ["a key twice", '{"a":1,"a":1}', "duplicate key"],
    ["a key twice, once escaped", '{"a":1,"\\u0061":1}', "duplicate key"],
    ["a key twice, deep inside", '{"x":[{"y":{"a":1,"b":2,"a":3}}]}', "duplicate key"],
    ["__proto__", '{"a":{"__proto__":{"x":1}}}', "__proto__"],
    ["__proto__, escaped", '{"\\u005f_proto__":1}', "__proto__"],
    ["a lone surrogate", '{"a":"\\ud800"}', "lone surrogate"],
    ["a lone low surrogate after text", '["x\\udc00"]', "lone surrogate"],
    ["a lone surrogate in a key", '{"\\udfff":1}', "lone surrogate"],
    ["one level too many", nested(maxJsonDepth + 1), "nested deeper"],
  ])("%s", (_name, text, why) => {
    expect(refusal(text)).toMatch(new RegExp(`^MALFORMED_JSON: .*${why}`));
  });
});

describe("accepted", () => {
  test.each([
    ["the deepest nesting", nested(maxJsonDepth)],
    ["brackets and colons in strings", '{"a:b":"[[[:{","c":"\\"}:\\\\"}'],
    ["a pair of surrogates, escaped", '"\\ud83d\\ude00"'],
    ["the same key in two objects", '[{"a":1},{"a":1}]'],
  ])("%s", (_name, text) => {
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  test("integers beyond 2^53 keep every digit, other numbers stay numbers", () => {
    expect(
      parseJson(
        '{"a":9007199254740993,"b":-12345678901234567890,"c":1.1234567890123456789,"d":1e300,"e":9007199254740991}',
      ),
    ).toEqual({
      a: 9007199254740993n,
      b: -12345678901234567890n,
      c: 1.1234567890123457,
      d: 1e300,
      e: 9007199254740991,
    });
  });
});

test.each([
  ["64,000 brackets", "[".repeat(64_000)],
  ["100,000 keys", `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":0`).join(",")}}`],
  ["200,000 backslashes", `"${"\\".repeat(200_000)}"`],
  ["100,000 escaped quotes", `"${'\\"'.repeat(100_000)}"`],
])("%s take no more than linear time", (_name, text) => {
  const started = performance.now();
  try {
    parseJson(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ConnectError);
  }
  // What grows with the square takes many seconds here; a busy machine takes a few times what JSON.parse does.
  expect(performance.now() - started).toBeLessThan(1500);
});
