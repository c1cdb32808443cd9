// The JSON profile without descriptors, for what passes by with every message: a client's send-message and its ack, the records of both
// directions, new-message. Each function gives what `readMessage` or `writeMessage` gives, or undefined where a value is not as plain as
// usual; then the caller takes the way of all messages. fast-path.test.ts holds them equal.
import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type {
  DownstreamRecord,
  MessageAckSchema,
  MessageType,
  NewMessageSchema,
  SendMessage,
  UpstreamRecord,
} from "@im-gateway/proto";
import { isJsonObject, type JsonTree } from "./text.ts";

const maxEnum = 2 ** 31 - 1;

/** @returns undefined also where a required field is missing */
export function readSendMessage(tree: JsonTree | undefined): SendMessage | undefined {
  if (!isJsonObject(tree)) {
    return undefined;
  }
  const { conversation_id: conversationId, message_type: messageType, content, client_msg_id: clientMsgId } = tree;
  if (
    typeof conversationId !== "string" ||
    typeof content !== "string" ||
    typeof clientMsgId !== "string" ||
    !isMessageType(messageType) ||
    conversationId === "" ||
    messageType === 0 ||
    content === "" ||
    clientMsgId === "" ||
    Object.keys(tree).length !== 4
  ) {
    return undefined;
  }
  return { $typeName: "im.gateway.v1.SendMessage", conversationId, messageType, content, clientMsgId };
}

export function readDownstreamRecord(tree: JsonTree): DownstreamRecord | undefined {
  if (!isJsonObject(tree)) {
    return undefined;
  }
  const record: DownstreamRecord = {
    $typeName: "im.gateway.v1.DownstreamRecord",
    traceId: "",
    targetUserId: "",
    messageId: "",
    conversationId: "",
    senderId: "",
    messageType: 0,
    content: "",
    seqId: 0n,
    timestamp: 0n,
    headers: {},
    targetUserIds: [],
    targetConnectionIds: [],
    excludeConnectionIds: [],
    broadcast: false,
    clientMsgId: "",
    type: "",
    userId: "",
    deviceId: "",
    sid: "",
    jti: "",
  };
  for (const key of Object.keys(tree)) {
    const value = tree[key];
    const taken =
      typeof value === "string"
        ? takeText(record, key, value)
        : typeof value === "number"
          ? takeNumber(record, key, value)
          : takeOther(record, key, value);
    if (!taken) {
      return undefined;
    }
  }
  return record;
}

/** @returns whether the record has a text of this name */
function takeText(record: DownstreamRecord, key: string, value: string): boolean {
  switch (key) {
    case "trace_id":
      record.traceId = value;
      return true;
    case "target_user_id":
      record.targetUserId = value;
      return true;
    case "message_id":
      record.messageId = value;
      return true;
    case "conversation_id":
      record.conversationId = value;
      return true;
    case "sender_id":
      record.senderId = value;
      return true;
    case "content":
      record.content = value;
      return true;
    case "client_msg_id":
      record.clientMsgId = value;
      return true;
    case "type":
      record.type = value;
      return true;
    case "user_id":
    case "device_id":
    case "sid":
    case "jti":
      // Of control records; whoever writes all fields leaves them empty.
      return value === "";
    default:
      return false;
  }
}

function takeNumber(record: DownstreamRecord, key: string, value: number): boolean {
  switch (key) {
    case "message_type":
      if (isMessageType(value)) {
        record.messageType = value;
        return true;
      }
      return false;
    case "seq_id":
      if (Number.isSafeInteger(value)) {
        record.seqId = BigInt(value);
        return true;
      }
      return false;
    case "timestamp":
      if (Number.isSafeInteger(value)) {
        record.timestamp = BigInt(value);
        return true;
      }
      return false;
    default:
      return false;
  }
}

function takeOther(record: DownstreamRecord, key: string, value: JsonTree | undefined): boolean {
  switch (key) {
    case "headers":
      return isJsonObject(value) && Object.keys(value).length === 0;
    case "broadcast":
      record.broadcast = value === true;
      return typeof value === "boolean";
    default:
      return isStrings(value) && takeTexts(record, key, value);
  }
}

export function writeUpstreamRecord(record: UpstreamRecord): JsonObject | undefined {
  const timestamp = plainNumber(record.timestamp);
  const gatewayEpoch = plainNumber(record.gatewayEpoch);
  if (timestamp === undefined || gatewayEpoch === undefined) {
    return undefined;
  }
  return {
    trace_id: record.traceId,
    user_id: record.userId,
    gateway_id: record.gatewayId,
    conversation_id: record.conversationId,
    message_type: record.messageType,
    content: record.content,
    client_msg_id: record.clientMsgId,
    timestamp,
    headers: record.headers,
    device_id: record.deviceId,
    connection_id: record.connectionId,
    gateway_epoch: gatewayEpoch,
  };
}

export function writeNewMessage(message: MessageInitShape<typeof NewMessageSchema>): JsonObject | undefined {
  const seqId = plainNumber(message.seqId ?? 0n);
  const timestamp = plainNumber(message.timestamp ?? 0n);
  if (seqId === undefined || timestamp === undefined) {
    return undefined;
  }
  return {
    message_id: message.messageId ?? "",
    conversation_id: message.conversationId ?? "",
    sender_id: message.senderId ?? "",
    message_type: message.messageType ?? 0,
    content: message.content ?? "",
    seq_id: seqId,
    timestamp,
    client_msg_id: message.clientMsgId ?? "",
  };
}

export function writeMessageAck(ack: MessageInitShape<typeof MessageAckSchema>): JsonObject {
  return { client_msg_id: ack.clientMsgId ?? "", status: ack.status ?? "", trace_id: ack.traceId ?? "" };
}

function takeTexts(record: DownstreamRecord, key: string, value: string[]): boolean {
  switch (key) {
    case "target_user_ids":
      record.targetUserIds = value;
      return true;
    case "target_connection_ids":
      record.targetConnectionIds = value;
      return true;
    case "exclude_connection_ids":
      record.excludeConnectionIds = value;
      return true;
    default:
      return false;
  }
}

/** The enum is open: a number without a name is passed on. */
function isMessageType(value: JsonTree | undefined): value is MessageType {
  return typeof value === "number" && Number.isInteger(value) && value <= maxEnum && value >= -maxEnum;
}

function isStrings(value: JsonTree | undefined): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function plainNumber(value: bigint): number | undefined {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : undefined;
}
