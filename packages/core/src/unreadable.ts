// Requests that a runtime can not hand over as one: the answer, which is the same on all of them.
import { Code } from "@connectrpc/connect";
import type { Observer } from "./adapters.ts";
import { failure } from "./errors.ts";
import { newTrace } from "./trace.ts";
import { errorResponse } from "./transcode/transcoder.ts";

/** Why a request could not be read. */
export type Unreadable =
  /** Not HTTP, or no URL that means anything. */
  | "malformed"
  /** It did not arrive in time. */
  | "too-slow"
  /** More request line and headers than the runtime takes. */
  | "headers-too-large"
  /** An upgrade that breaks RFC 6455 §4.2.1. */
  | "bad-handshake";

const problems: Readonly<Record<Unreadable, readonly [code: Code, reason: string, message: string]>> = {
  malformed: [Code.InvalidArgument, "MALFORMED_REQUEST", "this is not an HTTP request"],
  "too-slow": [Code.DeadlineExceeded, "REQUEST_TIMEOUT", "the request did not arrive in time"],
  "headers-too-large": [Code.ResourceExhausted, "HEADERS_TOO_LARGE", "the request line and headers are too large"],
  "bad-handshake": [Code.InvalidArgument, "BAD_HANDSHAKE", "this is not the handshake of WebSocket version 13"],
};

/** The answer, counted; the connection can take no further request. */
export function unreadableResponse(why: Unreadable, observer: Observer | undefined): Response {
  const [code, reason, message] = problems[why];
  const headers = { connection: "close", ...(why === "bad-handshake" ? { "sec-websocket-version": "13" } : {}) };
  const response = errorResponse(failure(code, reason, message), newTrace().traceId, headers);
  observer?.answered("OTHER", "none", response.status, 0);
  return response;
}
