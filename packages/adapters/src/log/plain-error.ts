// What a log line says of an error.
import { ConnectError } from "@connectrpc/connect";
import { codeName, reasonOf } from "@im-gateway/core";

export interface PlainError {
  readonly message: string;
  /** A Connect code ("unavailable") or the system's ("ECONNREFUSED"). */
  readonly code?: string;
  /** google.rpc.ErrorInfo.reason. */
  readonly reason?: string;
  readonly cause?: PlainError;
  readonly stack?: string;
}

const maxCauses = 4;

/** Message, code, reason and causes; the stack, of the outermost only, where it is asked for. */
export function plainError(error: Error, withStack: boolean, causes: number = maxCauses): PlainError {
  const { cause, stack } = error;
  return {
    ...outline(error),
    ...(cause instanceof Error && causes > 0 ? { cause: plainError(cause, false, causes - 1) } : {}),
    ...(withStack && stack !== undefined ? { stack } : {}),
  };
}

function outline(error: Error): PlainError {
  if (error instanceof ConnectError) {
    const reason = reasonOf(error);
    return { message: error.rawMessage, code: codeName(error.code), ...(reason === "" ? {} : { reason }) };
  }
  const message = error.message === "" ? error.name : error.message;
  return "code" in error ? { message, code: String(error.code) } : { message };
}
