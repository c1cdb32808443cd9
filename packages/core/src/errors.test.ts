// The tables of CONTRACT §3 and §4, and what a failure carries.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@im-gateway/proto";
import { expect, test } from "vitest";
import {
  CloseCode,
  codeName,
  codeOfHttpStatus,
  failure,
  httpFailure,
  httpStatus,
  invalidFields,
  reasonOf,
  retryAfterHeader,
  retryAfterMsOf,
} from "./errors.ts";

const table: readonly (readonly [Code, string, number])[] = [
  [Code.Canceled, "canceled", 499],
  [Code.Unknown, "unknown", 500],
  [Code.InvalidArgument, "invalid_argument", 400],
  [Code.DeadlineExceeded, "deadline_exceeded", 504],
  [Code.NotFound, "not_found", 404],
  [Code.AlreadyExists, "already_exists", 409],
  [Code.PermissionDenied, "permission_denied", 403],
  [Code.ResourceExhausted, "resource_exhausted", 429],
  [Code.FailedPrecondition, "failed_precondition", 400],
  [Code.Aborted, "aborted", 409],
  [Code.OutOfRange, "out_of_range", 400],
  [Code.Unimplemented, "unimplemented", 501],
  [Code.Internal, "internal", 500],
  [Code.Unavailable, "unavailable", 503],
  [Code.DataLoss, "data_loss", 500],
  [Code.Unauthenticated, "unauthenticated", 401],
];

test.each(table)("code %s is %s, HTTP %s", (code, name, status) => {
  expect([codeName(code), httpStatus[code]]).toEqual([name, status]);
});

test.each([
  [200, "unknown"],
  [302, "unknown"],
  [400, "internal"],
  [401, "unauthenticated"],
  [403, "permission_denied"],
  [404, "unimplemented"],
  [418, "unknown"],
  [429, "unavailable"],
  [500, "unknown"],
  [502, "unavailable"],
  [503, "unavailable"],
  [504, "unavailable"],
])("a foreign HTTP %s is %s", (status, name) => {
  expect(codeName(codeOfHttpStatus(status))).toBe(name);
});

test("whoever is told to try again by a status of ours, or a foreign one that is the same, tries again", () => {
  const worthARetry = [Code.Unavailable, Code.ResourceExhausted];
  for (const code of worthARetry) {
    expect(codeOfHttpStatus(httpStatus[code])).toBe(Code.Unavailable);
  }
});

test.each([
  ["0", 0],
  ["120", 120_000],
  ["99999999999", 86_400_000],
  ["Thu, 01 Jan 1970 00:01:40 GMT", 90_000],
  ["Thu, 01 Jan 1970 00:00:01 GMT", 0],
  ["-1", undefined],
  ["soon", undefined],
  ["1970", 1_970_000],
  ["Thu, 99 Jan 1970 00:00:01 GMT", undefined],
  ["", undefined],
  [null, undefined],
])("Retry-After: %s is a wait of %s ms", (header, waitMs) => {
  const error = httpFailure(503, header, 10_000);
  expect([retryAfterMsOf(error), reasonOf(error)]).toEqual([waitMs, "HTTP_STATUS"]);
});

test.each([
  [0, "0"],
  [1, "1"],
  [1000, "1"],
  [1001, "2"],
])("a wait of %s ms is Retry-After: %s", (retryAfterMs, header) => {
  expect(retryAfterHeader(failure(Code.Unavailable, "BUSY", "later", { retryAfterMs }))).toBe(header);
  expect(retryAfterHeader(failure(Code.Unavailable, "DOWN", "down"))).toBeUndefined();
});

test("the tables have every code of Connect", () => {
  expect(new Set(table.map(([code]) => code)).size).toBe(16);
});

test.each([
  ["a binary frame", CloseCode.UNSUPPORTED_DATA, 1003],
  ["a restart", CloseCode.SERVICE_RESTART, 1012],
  ["no auth in time", CloseCode.AUTH_TIMEOUT, 4001],
  ["a token that ended", CloseCode.TOKEN_EXPIRED, 4003],
  ["a slow consumer", CloseCode.SLOW_CONSUMER, 4008],
  ["a lost heartbeat", CloseCode.HEARTBEAT_LOST, 4009],
  ["a protocol error", CloseCode.PROTOCOL_ERROR, 4500],
  ["a bad token", CloseCode.TOKEN_INVALID, 4501],
])("%s closes with %s", (_name, code, number) => {
  expect(code).toBe(number);
});

test("a failure carries its reason, and a cause that is not told", () => {
  const cause = new Error("why");
  const error = failure(Code.NotFound, "NO_SUCH_GROUP", "no such group", { metadata: { group: "g" }, cause });
  expect([error.code, error.rawMessage, error.cause]).toEqual([Code.NotFound, "no such group", cause]);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
    { reason: "NO_SUCH_GROUP", domain: "im-gateway", metadata: { group: "g" } },
  ]);
});

test("bad fields are named one by one, and together in the message", () => {
  const error = invalidFields(
    { field: "a.b", description: "is required" },
    { field: "", description: "must be an object" },
  );
  expect([error.code, reasonOf(error), error.rawMessage]).toEqual([
    Code.InvalidArgument,
    "INVALID_FIELD",
    "a.b: is required; must be an object",
  ]);
  expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
    { field: "a.b", description: "is required" },
    { field: "", description: "must be an object" },
  ]);
});

test("an error without ErrorInfo has no reason", () => {
  expect(reasonOf(new ConnectError("x", Code.Unknown))).toBe("");
});
