// Frames ↔ JSON text. The names and shapes of all frames come from ClientFrame and ServerFrame of the contract.
import { create, type DescField, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type ClientFrame, ClientFrameSchema, ServerFrameSchema } from "@im-gateway/proto";
import type { EncodedFrame } from "../adapters.ts";
import { errorDetails, toConnectError } from "../error-json.ts";
import { codeName, failure, invalidFields, reasonOf, retryAfterMsOf } from "../errors.ts";
import { readSendMessage, writeMessageAck, writeNewMessage } from "../json/fast-path.ts";
import { readMessage } from "../json/read.ts";
import { missingFields, requiredFields } from "../json/required.ts";
import { isJsonObject, type JsonTree, parseJson } from "../json/text.ts";
import { writeMessage } from "../json/write.ts";

/** `data` of a server frame as it is built: `{ case: "pong", value: {} }`. */
export type ServerFrameData = NonNullable<MessageInitShape<typeof ServerFrameSchema>["data"]>;

/** A frame of a client, or what is wrong with it; the answer to either carries `messageId`. */
export type DecodedFrame =
  | { readonly messageId: string; readonly frame: ClientFrame; readonly error?: undefined }
  | { readonly messageId: string; readonly frame?: undefined; readonly error: ConnectError };

interface FrameType {
  /** On the wire. */
  readonly name: string;
  readonly field: DescField & { readonly fieldKind: "message" };
  readonly required: readonly DescField[];
}

const clientFrames = frameTypes(ClientFrameSchema);
const serverFrames = frameTypes(ServerFrameSchema);
const serverFramesByCase = new Map([...serverFrames.values()].map((type) => [type.field.localName, type]));
const clientFrameNames = new Map([...clientFrames].map(([name, { field }]) => [field.localName, name]));

/** Never throws. Unknown fields are ignored. */
export function decodeClientFrame(text: string): DecodedFrame {
  let messageId = "";
  try {
    const envelope = parseJson(text);
    if (!isJsonObject(envelope)) {
      throw failure(Code.InvalidArgument, "MALFORMED_FRAME", "a frame is a JSON object with type and data");
    }
    messageId = envelopeText(envelope, "message_id", "messageId") ?? "";
    const typeName = envelopeText(envelope, "type");
    if (typeName === undefined) {
      throw invalidFields({ field: "type", description: "is required" });
    }
    const type = clientFrames.get(typeName);
    if (type === undefined) {
      throw failure(Code.InvalidArgument, "UNKNOWN_FRAME_TYPE", `unknown frame type: ${shown(typeName)}`);
    }
    checkTimestamp(envelope.timestamp);
    if (envelope.data !== undefined && envelope.data !== null && !isJsonObject(envelope.data)) {
      throw invalidFields({ field: "data", description: "must be an object" });
    }
    const sendMessage = typeName === "send-message" ? readSendMessage(envelope.data) : undefined;
    if (sendMessage !== undefined) {
      const sent = { case: "sendMessage", value: sendMessage } as const;
      return { messageId, frame: { $typeName: "im.gateway.v1.ClientFrame", messageId, timestamp: 0n, data: sent } };
    }
    const desc = type.field.message;
    const data = readMessage(desc, envelope.data ?? {}, "ignore");
    const missing = missingFields(desc, data, type.required);
    if (missing.length > 0) {
      throw invalidFields(...missing);
    }
    const frame = create(ClientFrameSchema, { messageId });
    reflect(ClientFrameSchema, frame).set(type.field, reflect(desc, data));
    return { messageId, frame };
  } catch (thrown) {
    return { messageId, error: toConnectError(thrown) };
  }
}

/**
 * A server frame as it goes out.
 * @param messageId that of the frame which this one answers, "" on a push
 * @param nowMs Unix milliseconds
 */
export function encodeServerFrame(data: ServerFrameData, messageId: string, nowMs: number): EncodedFrame {
  const plain =
    data.case === "newMessage"
      ? writeNewMessage(data.value)
      : data.case === "messageAck"
        ? writeMessageAck(data.value)
        : undefined;
  if (plain !== undefined) {
    return encode(serverFrameType(data), plain, messageId, nowMs);
  }
  const frame = create(ServerFrameSchema, { data }).data;
  if (frame.case === undefined) {
    throw failure(Code.Internal, "EMPTY_FRAME", "a server frame without data");
  }
  const type = serverFramesByCase.get(frame.case);
  if (type === undefined) {
    throw failure(Code.Internal, "UNKNOWN_FRAME_TYPE", `no server frame ${frame.case}`);
  }
  return encode(type.name, writeMessage(type.field.message, frame.value), messageId, nowMs);
}

/**
 * A pushed frame whose type and data came from a back end.
 * @throws ConnectError invalid_argument when the contract has no such frame, or the data does not fit it
 */
export function encodeForeignFrame(type: string, data: JsonTree, nowMs: number): EncodedFrame {
  const desc = foreignFrame(type);
  return encode(type, writeMessage(desc, readMessage(desc, data, "ignore")), "", nowMs);
}

/** @throws ConnectError invalid_argument when the contract has no such server frame */
export function checkForeignFrame(type: string): void {
  foreignFrame(type);
}

function foreignFrame(type: string): DescMessage {
  const desc = serverFrames.get(type)?.field.message;
  if (desc === undefined) {
    throw failure(Code.InvalidArgument, "UNKNOWN_FRAME_TYPE", `unknown frame type: ${shown(type)}`);
  }
  return desc;
}

/** The name of a frame on the wire. */
export function serverFrameType(data: ServerFrameData): string {
  return data.case === undefined ? "" : (serverFramesByCase.get(data.case)?.name ?? "");
}

export function clientFrameType({ data }: ClientFrame): string {
  return data.case === undefined ? "" : (clientFrameNames.get(data.case) ?? "");
}

/** The data of an `error` frame. */
export function errorFrame(error: ConnectError, traceId: string, clientMsgId?: string): ServerFrameData {
  const retryAfterMs = retryAfterMsOf(error);
  return {
    case: "error",
    value: {
      code: codeName(error.code),
      reason: reasonOf(error),
      message: error.rawMessage,
      traceId,
      details: errorDetails(error),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs: BigInt(retryAfterMs) }),
      ...(clientMsgId === undefined ? {} : { clientMsgId }),
    },
  };
}

/** Frames that say nothing any more when they come late. */
const lossyFrames: ReadonlySet<string> = new Set(["typing", "online-status"]);

export function isLossy(type: string): boolean {
  return lossyFrames.has(type);
}

function encode(type: string, data: unknown, messageId: string, nowMs: number): EncodedFrame {
  const text = JSON.stringify({ type, message_id: messageId, data, timestamp: nowMs });
  return { text, lossy: isLossy(type), prepared: undefined };
}

function frameTypes(schema: DescMessage): ReadonlyMap<string, FrameType> {
  const types = new Map<string, FrameType>();
  for (const field of schema.fields) {
    if (field.fieldKind === "message") {
      const name = typeName(field);
      types.set(name, { name, field, required: requiredFields(field.message) });
    }
  }
  return types;
}

/** `send_message` is "send-message" on the wire. */
function typeName(field: DescField): string {
  return field.name.replaceAll("_", "-");
}

function envelopeText(envelope: { [key: string]: JsonTree }, ...names: readonly string[]): string | undefined {
  const name = names.find((candidate) => Object.hasOwn(envelope, candidate));
  const value = name === undefined ? undefined : envelope[name];
  if (name === undefined || value === undefined || value === null) {
    return undefined;
  }
  if (typeof value === "string") {
    return value;
  }
  // As everywhere an id may come as a number.
  if (name !== "type" && (typeof value === "bigint" || Number.isSafeInteger(value))) {
    return String(value);
  }
  throw invalidFields({ field: name, description: "must be a string" });
}

/** Nobody reads it, so a clock in fractions of a millisecond does no harm; what is no time at all is a mistake of the client's. */
function checkTimestamp(timestamp: JsonTree | undefined): void {
  if (timestamp !== undefined && timestamp !== null && typeof timestamp !== "number") {
    throw invalidFields({ field: "timestamp", description: "must be Unix milliseconds" });
  }
}

/** A client's own word in our answer, bounded. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
