// A message on its way to Kafka: what a client sent and who sent it → the record on `upstream`.
import { Code } from "@connectrpc/connect";
import type { MessageType, UpstreamRecord } from "@im-gateway/proto";
import type { ProducerRecord } from "./adapters.ts";
import { failure, invalidFields } from "./errors.ts";
import { encodeUpstreamRecord } from "./record/codec.ts";
import type { Trace } from "./trace.ts";

/** What a client says, by frame or by REST. */
export interface OutgoingMessage {
  readonly conversationId: string;
  readonly messageType: MessageType;
  readonly content: string;
  readonly clientMsgId: string;
}

export interface Sender {
  readonly userId: string;
  readonly deviceId: string;
  /** "" where the message came over HTTP. */
  readonly connectionId: string;
}

/** The gateway that signs the record. */
export interface Origin {
  readonly gatewayId: string;
  readonly gatewayEpoch: number;
  readonly topic: string;
}

/** As the contract has it of the message that comes over REST. */
const maxClientMsgId = 128;

/** @throws ConnectError invalid_argument: of what comes as a frame nobody has checked it yet */
export function checkOutgoing({ clientMsgId }: OutgoingMessage): void {
  if (clientMsgId.length > maxClientMsgId && [...clientMsgId].length > maxClientMsgId) {
    throw invalidFields({ field: "client_msg_id", description: `is longer than ${maxClientMsgId} characters` });
  }
}

/** @throws ConnectError invalid_argument MESSAGE_TOO_LARGE: no frame could carry it */
export function checkSize(content: string, maxBytes: number): void {
  if (new TextEncoder().encode(content).length > maxBytes) {
    throw failure(Code.InvalidArgument, "MESSAGE_TOO_LARGE", `content is larger than ${maxBytes} bytes`);
  }
}

export function toUpstreamRecord(
  message: OutgoingMessage,
  sender: Sender,
  origin: Origin,
  trace: Trace,
  nowMs: number,
): ProducerRecord {
  const { conversationId, messageType, content, clientMsgId } = message;
  const record: UpstreamRecord = {
    $typeName: "im.gateway.v1.UpstreamRecord",
    traceId: trace.traceId,
    userId: sender.userId,
    gatewayId: origin.gatewayId,
    conversationId,
    messageType,
    content,
    clientMsgId,
    timestamp: BigInt(Math.floor(nowMs / 1000)),
    deviceId: sender.deviceId,
    connectionId: sender.connectionId,
    gatewayEpoch: BigInt(origin.gatewayEpoch),
    headers: {},
  };
  return {
    topic: origin.topic,
    // One conversation, one partition: its messages keep their order.
    key: conversationId,
    value: encodeUpstreamRecord(record),
    headers: { traceparent: trace.traceparent },
  };
}
