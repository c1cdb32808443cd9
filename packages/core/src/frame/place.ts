// Which message a new-message frame is.
import type { JsonObject } from "@bufbuild/protobuf";

/** Of a message in its conversation. */
export interface Place {
  readonly conversationId: string;
  readonly seqId: bigint;
}

/** @returns undefined where it does not say */
export function placed(conversationId: string, seqId: bigint): Place | undefined {
  return conversationId === "" || seqId <= 0n ? undefined : { conversationId, seqId };
}

/** Of a frame whose type and data came from a back end; undefined of any other than a new-message. */
export function placeOfForeign(type: string, data: JsonObject): Place | undefined {
  const conversationId = data.conversation_id ?? data.conversationId;
  const seqId = Number(data.seq_id ?? data.seqId);
  const known = type === "new-message" && typeof conversationId === "string" && Number.isSafeInteger(seqId);
  return known ? placed(conversationId, BigInt(seqId)) : undefined;
}
