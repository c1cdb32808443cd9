// A ConnectError as clients see it: google.rpc details as JSON with "@type", on REST and in error frames alike.
import { create, createRegistry, fromBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@im-gateway/proto";
import { codeName, failure } from "./errors.ts";
import { writeMessage } from "./json/write.ts";

const detailTypes = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** The body of a failed REST request (CONTRACT §3). */
export function errorBody(error: ConnectError, traceId: string): JsonObject {
  return {
    code: codeName(error.code),
    message: error.rawMessage,
    details: errorDetails(error),
    trace_id: traceId,
  };
}

/** The details; what is not known here, or not readable, stays opaque, as base64 in `value`. Never throws on what came over the wire. */
export function errorDetails(error: ConnectError): JsonObject[] {
  return error.details.map((detail) => {
    if ("desc" in detail) {
      const message = create(detail.desc, detail.value);
      return withType(detail.desc.typeName, writeMessage(detail.desc, message));
    }
    return withType(detail.type, readable(detail) ?? { value: base64Encode(detail.value) });
  });
}

/** Anything that was thrown, as a ConnectError; what is not one is a fault of ours and tells the client nothing. */
export function toConnectError(thrown: unknown): ConnectError {
  return thrown instanceof ConnectError
    ? thrown
    : failure(Code.Internal, "INTERNAL", "internal error", { cause: thrown });
}

/** Bytes of a back end: what is not what it says it is must not turn the error into another one. */
function readable({ type, value }: { readonly type: string; readonly value: Uint8Array }): JsonObject | undefined {
  const desc = detailTypes.getMessage(type);
  try {
    return desc && writeMessage(desc, fromBinary(desc, value));
  } catch {
    return undefined;
  }
}

function withType(typeName: string, fields: { [key: string]: JsonValue }): JsonObject {
  return { "@type": `type.googleapis.com/${typeName}`, ...fields };
}
