// What was kept for a user and follows directly on what the client has: im-logic need not read and send it once more, unless it was recalled.
// Pure.
import type { Message } from "@im-gateway/proto";
import type { EncodedFrame } from "../adapters.ts";
import { type Cursors, maxMessages, maxPerConversation } from "./resume-answer.ts";
import type { Kept } from "./ring.ts";

export interface HeadStart {
  /** Of each conversation ascending and without gaps after the client's cursor. */
  readonly kept: readonly Kept[];
  /** How many of them each conversation has. */
  readonly counts: ReadonlyMap<string, number>;
  /** The last one of each of those. */
  readonly through: Cursors;
}

export function headStart(absence: readonly Kept[], cursors: Cursors): HeadStart {
  const kept: Kept[] = [];
  const counts = new Map<string, number>();
  const cursorOf = new Map(Object.entries(cursors));
  const through = new Map<string, bigint>();
  for (const [conversationId, messages] of bySeqId(absence)) {
    const cursor = cursorOf.get(conversationId) ?? 0n;
    let count = 0;
    let next = messages.get(cursor + 1n);
    while (next !== undefined && count < maxPerConversation && kept.length < maxMessages) {
      kept.push(next);
      count += 1;
      next = messages.get(cursor + BigInt(count) + 1n);
    }
    if (count > 0) {
      counts.set(conversationId, count);
      through.set(conversationId, cursor + BigInt(count));
    }
  }
  return { kept, counts, through: Object.fromEntries(through) };
}

/** What was kept, each message as im-logic has it now where it says so: it may have been recalled when nothing was routed here any more. */
export function renewed(
  kept: readonly Kept[],
  messages: readonly Message[],
  encode: (message: Message) => EncodedFrame,
): readonly Kept[] {
  const found = new Map(messages.map((message) => [`${message.seqId} ${message.conversationId}`, message]));
  return kept.map((one) => {
    const message = one.place && found.get(`${one.place.seqId} ${one.place.conversationId}`);
    return message === undefined ? one : { ...one, frame: encode(message) };
  });
}

function bySeqId(absence: readonly Kept[]): ReadonlyMap<string, ReadonlyMap<bigint, Kept>> {
  const conversations = new Map<string, Map<bigint, Kept>>();
  for (const item of absence) {
    if (item.place !== undefined) {
      const { conversationId, seqId } = item.place;
      const messages = conversations.get(conversationId) ?? new Map<bigint, Kept>();
      conversations.set(conversationId, messages.set(seqId, item));
    }
  }
  return conversations;
}
