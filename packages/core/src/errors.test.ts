// The tables of CONTRACT §3 and §4, and what a failure carries.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@im-gateway/proto";
import { expect, test } from "vitest";
import { CloseCode, codeName, failure, httpStatus, invalidFields, reasonOf } from "./errors.ts";

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
