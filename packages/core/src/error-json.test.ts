// What a client is told when something fails, also when the back end that failed says it badly.
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@im-gateway/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { errorBody, toConnectError } from "./error-json.ts";
import { failure, reasonOf, retryAfterMsOf } from "./errors.ts";
import { encodeServerFrame, errorFrame } from "./frame/codec.ts";
import { errorResponse } from "./transcode/transcoder.ts";

/** An error as it came over the wire. */
function received(type: string, value: Uint8Array): ConnectError {
  const error = new ConnectError("no", Code.Unavailable);
  error.details.push({ type, value });
  return error;
}

function retryInfo(seconds: bigint, nanos = 0): ConnectError {
  const info = create(RetryInfoSchema, { retryDelay: { seconds, nanos } });
  return received("google.rpc.RetryInfo", toBinary(RetryInfoSchema, info));
}

test("details that came over the wire look as those that were made here", () => {
  const info = create(ErrorInfoSchema, { reason: "FULL", domain: "im-logic", metadata: { limit: "500" } });
  expect(errorBody(received("google.rpc.ErrorInfo", toBinary(ErrorInfoSchema, info)), "t1")).toEqual({
    code: "unavailable",
    message: "no",
    trace_id: "t1",
    details: [
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        reason: "FULL",
        domain: "im-logic",
        metadata: { limit: "500" },
      },
    ],
  });
});

test.each([
  ["of a type that is not known here", received("im.other.v1.Detail", Uint8Array.of(8, 1)), "CAE="],
  ["cut short", received("google.rpc.ErrorInfo", Uint8Array.of(0x0a, 9, 65)), "CglB"],
  ["with a duration that is none", retryInfo(2n ** 62n), undefined],
])("a detail %s is handed on as it is", (_name, error, value = expect.any(String)) => {
  const type = expect.stringMatching(/^type\.googleapis\.com\//);
  expect(errorBody(error, "").details).toEqual([{ "@type": type, value }]);
});

test("whatever a back end calls a detail, the client gets its error, over REST and in a frame", () => {
  const types = ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "google.rpc.BadRequest", "x.Y"];
  const junk = fc.record({ type: fc.constantFrom(...types), value: fc.uint8Array({ maxLength: 40 }) });
  const delay = fc
    .record({
      seconds: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      nanos: fc.integer(),
    })
    .map((retryDelay) => ({
      type: "google.rpc.RetryInfo",
      value: toBinary(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })),
    }));
  fc.assert(
    fc.property(fc.oneof(junk, delay), ({ type, value }) => {
      const error = received(type, value);
      const { text } = encodeServerFrame(errorFrame(error, "t"), "m", 0);
      expect(JSON.parse(text)).toMatchObject({ data: { code: "unavailable", message: "no" } });
      const { status, headers } = errorResponse(error, "t");
      expect(status).toBe(503);
      expect(headers.get("retry-after") ?? "0").toMatch(/^\d{1,5}$/);
    }),
  );
});

test.each([
  [0n, 1, 1],
  [1n, 500_000_000, 1500],
  [0n, 1_500_001, 2],
  [-5n, 0, 0],
  [2n ** 63n - 1n, 0, 86_400_000],
])("a wait of %s s and %s ns is %s ms", (seconds, nanos, waitMs) => {
  expect(retryAfterMsOf(retryInfo(seconds, nanos))).toBe(waitMs);
});

test("without RetryInfo there is no wait", () => {
  expect(retryAfterMsOf(failure(Code.Unavailable, "DOWN", "down"))).toBeUndefined();
});

test("what was thrown and is no ConnectError tells clients nothing of itself", () => {
  const thrown = new TypeError("a secret of the implementation");
  const error = toConnectError(thrown);
  expect([error.code, reasonOf(error), error.cause]).toEqual([Code.Internal, "INTERNAL", thrown]);
  expect(JSON.stringify(errorBody(error, ""))).not.toContain("secret");
  for (const other of [undefined, "text", 7, { code: 3 }]) {
    expect(toConnectError(other).code).toBe(Code.Internal);
  }
  const own = failure(Code.NotFound, "GONE", "gone");
  expect(toConnectError(own)).toBe(own);
});
