// What a call ended with: gRPC status → ConnectError.
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type StatusObject, status as statusCode } from "@grpc/grpc-js";
import { failure } from "@im-gateway/core";
import { type Status, StatusSchema } from "@im-gateway/proto";
import { appendMetadata } from "./metadata.ts";

export interface CallFailure {
  readonly error: ConnectError;
  /** False when the request certainly never left, so that any method may be called again. */
  readonly reached: boolean;
}

/** The peer, or the way to it, is gone. Clients see the message: the cause stays in `cause`. */
export function unreachable(cause?: unknown): ConnectError {
  return failure(Code.Unavailable, "LOGIC_UNAVAILABLE", "the service cannot be reached", { retryAfterMs: 1000, cause });
}

export function deadlineExceeded(cause?: unknown): ConnectError {
  return failure(Code.DeadlineExceeded, "LOGIC_TIMEOUT", "the service did not answer in time", { cause });
}

export function canceled(cause: unknown): ConnectError {
  return failure(Code.Canceled, "CANCELED", "the caller gave up", { cause });
}

// The texts of grpc-js 1.14.7, which gives no other sign. Before a request leaves:
const neverSent = /^(No connection established|Name resolution failed|Failed to start HTTP\/2 stream|Channel closed)/;
// … and INTERNAL for a stream that was cut without a status: by a proxy that drains (NO_ERROR) or with the connection.
const cut = /^Received RST_STREAM with code (0 |2 triggered by internal client error)/;

/** What the peer did not mean for a client, or what grpc-js says in the peer's place: the text may hold anything. */
const faults: ReadonlySet<Code> = new Set([Code.Internal, Code.Unknown, Code.DataLoss, Code.Unimplemented]);
const answerTooLarge = /^Received message larger than max/;

/**
 * @param heard the peer has sent something for this call already; so it has where the status came with metadata, which grpc-js's own have not:
 * then no text of the status says that the request never left
 *
 * Codes keep their number. A status with `grpc-status-details-bin` is the peer's own and is passed on with its
 * details. Without them an Unavailable, a Canceled (the caller's own cancel never comes here) and a cut stream all
 * mean a lost peer: `unreachable`; and the deadline may pass at the peer, or in grpc-js, a moment before it passes
 * here. One that tells of a fault has its text in the cause only, with the reason LOGIC_ERROR.
 */
export function callFailure({ code, details, metadata }: StatusObject, heard: boolean): CallFailure {
  const sent = statusDetails(metadata.get("grpc-status-details-bin")[0]);
  if (sent === undefined) {
    const reached = heard || Object.keys(metadata.getMap()).length > 0 || !neverSent.test(details);
    const lost = code === statusCode.UNAVAILABLE || code === statusCode.CANCELLED || !reached || cut.test(details);
    if (lost) return { error: unreachable(new Error(details)), reached };
    if (code === statusCode.DEADLINE_EXCEEDED) return { error: deadlineExceeded(new Error(details)), reached };
    const own = answerTooLarge.test(details) ? Code.Internal : toCode(code);
    if (faults.has(own)) {
      const cause = new Error(details);
      return { error: failure(own, "LOGIC_ERROR", "the service failed", { cause }), reached };
    }
  }
  const message = sent?.message ?? decodeReserved(details);
  const error = new ConnectError(message, toCode(code), appendMetadata(new Headers(), metadata));
  error.details = (sent?.details ?? []).map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return { error, reached: true };
}

/** Undefined when there are none, or none that decode: the status itself still counts. */
function statusDetails(value: string | Buffer | undefined): Status | undefined {
  if (!Buffer.isBuffer(value)) return undefined;
  try {
    return fromBinary(StatusSchema, Uint8Array.from(value));
  } catch {
    return undefined;
  }
}

function toCode(code: number): Code {
  return code in Code ? code : Code.Unknown;
}

/** grpc-js decodes `grpc-message` by decodeURI, which leaves the escapes of these: "a%3A b" instead of "a: b". */
function decodeReserved(message: string): string {
  return message.replaceAll(/%(?:3B|2F|3F|3A|40|26|3D|2B|24|2C|23)/gi, decodeURIComponent);
}
