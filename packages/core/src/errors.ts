// The one vocabulary of errors: Connect's codes, a reason beside them, and the table to HTTP statuses and close codes.
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@im-gateway/proto";

export interface FieldViolation {
  /** Path as the client wrote it, with dots. */
  readonly field: string;
  readonly description: string;
}

export interface FailureOptions {
  /** When it is worth a retry, and how long to wait first. */
  readonly retryAfterMs?: number;
  readonly violations?: readonly FieldViolation[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

const maxRetryAfterMs = 24 * 60 * 60 * 1000;

/** The `domain` of every ErrorInfo that this project makes. */
export const errorDomain = "im-gateway";

/**
 * A ConnectError that carries a domain reason (`google.rpc.ErrorInfo.reason`, UPPER_SNAKE) and, as asked, RetryInfo and BadRequest.
 * `message` is for people and goes to clients: no internals.
 */
export function failure(code: Code, reason: string, message: string, options: FailureOptions = {}): ConnectError {
  const error = new ConnectError(message, code, undefined, undefined, options.cause);
  error.details.push({
    desc: ErrorInfoSchema,
    value: { reason, domain: errorDomain, metadata: { ...options.metadata } },
  });
  if (options.retryAfterMs !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(options.retryAfterMs) } });
  }
  if (options.violations !== undefined) {
    const fieldViolations = options.violations.map(({ field, description }) => ({ field, description }));
    error.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  return error;
}

/** What one error names at most: a request can have any number of bad fields. */
export const maxViolations = 20;

/** invalid_argument with one field violation each. */
export function invalidFields(...violations: readonly FieldViolation[]): ConnectError {
  return failure(Code.InvalidArgument, "INVALID_FIELD", describeViolations(violations), { violations });
}

/** The message of an error whose reason is INVALID_FIELD. */
export function describeViolations(violations: readonly FieldViolation[]): string {
  return violations
    .map(({ field, description }) => (field === "" ? description : `${field}: ${description}`))
    .join("; ");
}

/** The reason in the error's ErrorInfo; "" where it has none. */
export function reasonOf(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
}

/** The wait that the error's RetryInfo asks for: from nothing to a day, whatever a back end wrote. */
export function retryAfterMsOf(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay === undefined) {
    return undefined;
  }
  const waitMs = Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1e6);
  return Math.min(Math.max(waitMs, 0), maxRetryAfterMs);
}

const codeNames: Readonly<Record<Code, string>> = {
  [Code.Canceled]: "canceled",
  [Code.Unknown]: "unknown",
  [Code.InvalidArgument]: "invalid_argument",
  [Code.DeadlineExceeded]: "deadline_exceeded",
  [Code.NotFound]: "not_found",
  [Code.AlreadyExists]: "already_exists",
  [Code.PermissionDenied]: "permission_denied",
  [Code.ResourceExhausted]: "resource_exhausted",
  [Code.FailedPrecondition]: "failed_precondition",
  [Code.Aborted]: "aborted",
  [Code.OutOfRange]: "out_of_range",
  [Code.Unimplemented]: "unimplemented",
  [Code.Internal]: "internal",
  [Code.Unavailable]: "unavailable",
  [Code.DataLoss]: "data_loss",
  [Code.Unauthenticated]: "unauthenticated",
};

/** The code as clients see it. */
export function codeName(code: Code): string {
  return codeNames[code];
}

/** Source: the comments of google/rpc/code.proto. */
export const httpStatus: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

/**
 * The way back, for an answer that is not of this contract, such as a proxy's: there a 404 says that nobody knows the method. What is one of ours has
 * its code in the body. Source: doc/http-grpc-status-mapping.md of gRPC.
 */
const codeByHttpStatus: ReadonlyMap<number, Code> = new Map([
  [400, Code.Internal],
  [401, Code.Unauthenticated],
  [403, Code.PermissionDenied],
  [404, Code.Unimplemented],
  [429, Code.Unavailable],
  [502, Code.Unavailable],
  [503, Code.Unavailable],
  [504, Code.Unavailable],
]);

/** The code that a foreign HTTP status means; `unknown` for all that say nothing. */
export function codeOfHttpStatus(status: number): Code {
  return codeByHttpStatus.get(status) ?? Code.Unknown;
}

/** `Retry-After` (RFC 9110 §10.2.3) of an error with RetryInfo: whole seconds, rounded up. */
export function retryAfterHeader(error: ConnectError): string | undefined {
  const waitMs = retryAfterMsOf(error);
  return waitMs === undefined ? undefined : String(Math.ceil(waitMs / 1000));
}

/**
 * A foreign HTTP answer as an error: the code by its status, RetryInfo by its `Retry-After`, nothing of its text.
 * @param retryAfter seconds or an HTTP date; what is neither counts as absent
 * @param nowMs Unix milliseconds
 */
export function httpFailure(status: number, retryAfter: string | null, nowMs: number): ConnectError {
  const retryAfterMs = retryAfter === null ? undefined : waitOfHeader(retryAfter.trim(), nowMs);
  return failure(codeOfHttpStatus(status), "HTTP_STATUS", `answered with HTTP status ${status}`, {
    metadata: { status: String(status) },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function waitOfHeader(value: string, nowMs: number): number | undefined {
  const atMs = Date.parse(value);
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1000 : HTTP_DATE.test(value) ? atMs - nowMs : Number.NaN;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), maxRetryAfterMs);
}

/** IMF-fixdate, the only form that is still written (RFC 9110 §5.6.7). */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** WebSocket close codes (RFC 6455 §7.4.1 and ours). After 4500 and above a client does not reconnect, nor after 1000, 1003, 1007, 1009. */
export const CloseCode = {
  UNSUPPORTED_DATA: 1003,
  SERVICE_RESTART: 1012,
  TRY_AGAIN_LATER: 1013,
  AUTH_TIMEOUT: 4001,
  TOKEN_EXPIRED: 4003,
  SLOW_CONSUMER: 4008,
  HEARTBEAT_LOST: 4009,
  PROTOCOL_ERROR: 4500,
  TOKEN_INVALID: 4501,
  KICKED: 4503,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];
