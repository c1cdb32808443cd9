// The one error of this package, whatever door it came through.
import type { JsonObject } from "./gen/types.ts";

/** Connect's closed set. */
export type ErrorCode =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

export interface ImErrorOptions {
  readonly details?: readonly JsonObject[] | undefined;
  readonly retry_after_ms?: number | undefined;
  readonly trace_id?: string | undefined;
  readonly client_msg_id?: string | undefined;
  readonly cause?: unknown;
}

const worthARetry = ["unavailable", "resource_exhausted", "deadline_exceeded", "aborted"];

export class ImError extends Error {
  override readonly name = "ImError";
  /** An open set as far as this version knows: a newer gateway may send others. */
  readonly code: ErrorCode | (string & Record<never, never>);
  /** UPPER_SNAKE, what exactly was wrong; "" where nobody said. */
  readonly reason: string;
  /** google.rpc details, each with "@type". */
  readonly details: readonly JsonObject[];
  /** How long to wait before it is tried again, where the gateway said so. */
  readonly retry_after_ms: number | undefined;
  /** Finds the call in the gateway's logs; "" where it was never there. */
  readonly trace_id: string;
  /** Of the message that was not sent: it can be sent again with the same one. */
  readonly client_msg_id: string | undefined;

  constructor(code: string, reason: string, message: string, options: ImErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.details = options.details ?? [];
    this.retry_after_ms = options.retry_after_ms;
    this.trace_id = options.trace_id ?? "";
    this.client_msg_id = options.client_msg_id;
  }

  /** The same call may succeed later (CONTRACT §3). */
  get retryable(): boolean {
    return worthARetry.includes(this.code);
  }
}

/** Why a signal aborted, as an error of ours. */
export function abortError(signal: AbortSignal, client_msg_id?: string): ImError {
  const cause: unknown = signal.reason;
  return cause instanceof DOMException && cause.name === "TimeoutError"
    ? new ImError("deadline_exceeded", "TIMEOUT", "no answer in time", { cause, client_msg_id })
    : new ImError("canceled", "ABORTED", "aborted by the caller", { cause, client_msg_id });
}

/** An error of the gateway: the body of an HTTP answer, or the data of an error frame. Undefined for what is none. */
export function readError(value: unknown, retryAfterMs?: number): ImError | undefined {
  if (!isObject(value) || typeof value.code !== "string") {
    return undefined;
  }
  const details = Array.isArray(value.details) ? value.details.filter(isObject) : [];
  const reason = value.reason ?? details.find(({ reason }) => typeof reason === "string")?.reason;
  const delay = /^(\d+(?:\.\d+)?)s$/.exec(String(details.find((detail) => "retry_delay" in detail)?.retry_delay))?.[1];
  return new ImError(value.code, text(reason), text(value.message), {
    details,
    retry_after_ms:
      typeof value.retry_after_ms === "number"
        ? value.retry_after_ms
        : delay === undefined
          ? retryAfterMs
          : Math.ceil(Number(delay) * 1000),
    trace_id: text(value.trace_id),
    client_msg_id: typeof value.client_msg_id === "string" ? value.client_msg_id : undefined,
  });
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
