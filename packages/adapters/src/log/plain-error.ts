// What a log line says of an error.
import { Code, ConnectError } from "@connectrpc/connect";
import { codeName, reasonOf } from "@im-gateway/core";

export interface PlainError {
  /** Absent where it may quote a request. */
  readonly message?: string;
  /** A Connect code ("unavailable"), also of gRPC's errors; the system's ("ECONNREFUSED"), or whatever else the error itself has. */
  readonly code?: string;
  /** google.rpc.ErrorInfo.reason. */
  readonly reason?: string;
  readonly cause?: PlainError;
  /** Without the message. */
  readonly stack?: string;
}

const maxCauses = 4;

/** gRPC numbers its codes as Connect does. */
const namesOfCodes: ReadonlyMap<unknown, string> = new Map(
  Object.values(Code).flatMap((code) => (typeof code === "number" ? [[code, codeName(code)]] : [])),
);

/** What a caller did wrong. */
const callersFault: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.Aborted,
  Code.OutOfRange,
  Code.Unauthenticated,
]);

/** As google.rpc.ErrorInfo has it; a back end may write anything. */
const REASON = /^[A-Z][A-Z0-9_]{0,62}$/;

/**
 * Message, code, reason and causes. What a caller did wrong has no message, nor has what a back end answered: both may quote the request, and
 * the caller and the back end have them, with the same trace_id. Where `withStack` asks for it, a fault of our own has its stack: what is neither a `ConnectError` nor has
 * a system's code.
 */
export function plainError(error: Error, withStack: boolean): PlainError {
  return outline(error, withStack, maxCauses);
}

function outline(error: Error, withStack: boolean, causes: number, mayQuote = false): PlainError {
  const known = error instanceof ConnectError;
  const code = known ? codeName(error.code) : foreignCode(error);
  const reason = known ? reasonOf(error) : "";
  const hidden = mayQuote || (known && (callersFault.has(error.code) || !isOurs(error)));
  const message = known ? error.rawMessage : error.message;
  const stack = withStack && code === undefined && !hidden ? framesOf(error) : "";
  return {
    ...(hidden ? {} : { message: message === "" ? error.name : message }),
    ...(code === undefined ? {} : { code }),
    ...(REASON.test(reason) ? { reason } : {}),
    ...(error.cause instanceof Error && causes > 0
      ? { cause: outline(error.cause, withStack, causes - 1, hidden) }
      : {}),
    ...(stack === "" ? {} : { stack }),
  };
}

function foreignCode(error: Error): string | undefined {
  if (!("code" in error)) return undefined;
  // A DOMException has a number as well, but no `details`.
  return ("details" in error ? namesOfCodes.get(error.code) : undefined) ?? String(error.code);
}

/** Details that came over the wire are bytes yet. */
function isOurs({ details }: ConnectError): boolean {
  return details.some((detail) => "desc" in detail);
}

/** The stack begins with the message, which may have any number of lines. */
function framesOf({ stack = "" }: Error): string {
  return stack
    .split("\n")
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim())
    .join("\n");
}
