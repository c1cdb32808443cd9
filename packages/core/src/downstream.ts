// A record of `downstream-{gateway_id}` → whom it is for and the frame that they get.
import type { DownstreamRecord } from "@im-gateway/proto";
import type { ConsumerRecord, EncodedFrame } from "./adapters.ts";
import { isControl } from "./control.ts";
import { invalidFields } from "./errors.ts";
import { checkForeignFrame, encodeForeignFrame, encodeServerFrame } from "./frame/codec.ts";
import { type Place, placed, placeOfForeign } from "./frame/place.ts";
import type { Recipients } from "./hub.ts";
import { decodeDownstreamRecord } from "./record/codec.ts";

export interface Delivery {
  readonly recipients: Recipients;
  /** Of the frame. */
  readonly type: string;
  /** It is for the gateway itself, and so for no connection. */
  readonly control?: DownstreamRecord;
  /** Of a new-message; undefined where it does not say which one it is. */
  readonly place: Place | undefined;
  /** The frame, the same for every recipient. @throws ConnectError invalid_argument when the record's `type` and `data` are no frame */
  encode(nowMs: number): EncodedFrame;
}

const maxTargetUsers = 1000;
const nobody: Recipients = { userIds: [], connectionIds: [], excludedConnectionIds: [], broadcast: false };

/** @throws ConnectError invalid_argument: not a downstream record, or one for nobody */
export function fromDownstreamRecord(consumed: ConsumerRecord): Delivery {
  const record = decodeDownstreamRecord(consumed.value);
  if (isControl(record)) {
    return {
      recipients: nobody,
      type: record.type,
      control: record,
      place: undefined,
      encode: (nowMs) => encodeRecordFrame(record, nowMs),
    };
  }
  const { targetUserId, targetUserIds, targetConnectionIds, excludeConnectionIds, broadcast } = record;
  if (targetUserIds.length > maxTargetUsers) {
    throw invalidFields({ field: "target_user_ids", description: `more than ${maxTargetUsers}` });
  }
  const userIds = targetUserId === "" ? targetUserIds : [targetUserId, ...targetUserIds];
  if (userIds.length === 0 && targetConnectionIds.length === 0 && !broadcast) {
    throw invalidFields({ field: "target_user_id", description: "the record has no target" });
  }
  const type = record.type === "" ? "new-message" : record.type;
  // Whoever is here: a type that is no frame is poison at once, data that does not fit only when somebody should get it.
  checkForeignFrame(type);
  // An error may say no more than which message it is about.
  if (type !== "new-message" && type !== "error" && record.data === undefined) {
    throw invalidFields({ field: "data", description: `is required for ${type}` });
  }
  return {
    recipients: {
      userIds,
      connectionIds: targetConnectionIds,
      excludedConnectionIds: excludeConnectionIds,
      broadcast,
    },
    type,
    place: type === "new-message" ? placeOf(record) : undefined,
    encode: (nowMs) => encodeRecordFrame(record, nowMs),
  };
}

function placeOf({ data, conversationId, seqId }: DownstreamRecord): Place | undefined {
  return data === undefined ? placed(conversationId, seqId) : placeOfForeign("new-message", data);
}

function encodeRecordFrame(record: DownstreamRecord, nowMs: number): EncodedFrame {
  const { type, clientMsgId, data = {} } = record;
  if (type === "" || (type === "new-message" && record.data === undefined)) {
    const { messageId, conversationId, senderId, messageType, content, seqId } = record;
    const timestamp = record.timestamp * 1000n;
    return encodeServerFrame(
      {
        case: "newMessage",
        value: { messageId, conversationId, senderId, messageType, content, seqId, timestamp, clientMsgId },
      },
      "",
      nowMs,
    );
  }
  // An error about a message names it, also where the back end says so in the record only.
  const named = Object.hasOwn(data, "client_msg_id") || Object.hasOwn(data, "clientMsgId");
  const adds = type === "error" && clientMsgId !== "" && !named;
  return encodeForeignFrame(type, adds ? { ...data, client_msg_id: clientMsgId } : data, nowMs);
}
