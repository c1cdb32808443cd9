// What was kept for a user and follows directly on what the client has: im-logic need not read and send it once more. Pure.
import { type Cursors, maxMessages, maxPerConversation } from "./resume-answer.ts";
import type { Kept } from "./ring.ts";

export interface HeadStart {
  /** Of each conversation ascending and without gaps after the client's cursor. */
  readonly kept: readonly Kept[];
  /** How many of them each conversation has. */
  readonly counts: ReadonlyMap<string, number>;
  /** The client's cursors, moved on past them. */
  readonly cursors: Cursors;
}

export function headStart(absence: readonly Kept[], cursors: Cursors): HeadStart {
  const kept: Kept[] = [];
  const counts = new Map<string, number>();
  const moved = new Map(Object.entries(cursors));
  for (const [conversationId, messages] of bySeqId(absence)) {
    const cursor = moved.get(conversationId) ?? 0n;
    let count = 0;
    let next = messages.get(cursor + 1n);
    while (next !== undefined && count < maxPerConversation && kept.length < maxMessages) {
      kept.push(next);
      count += 1;
      next = messages.get(cursor + BigInt(count) + 1n);
    }
    if (count > 0) {
      counts.set(conversationId, count);
      moved.set(conversationId, cursor + BigInt(count));
    }
  }
  return { kept, counts, cursors: Object.fromEntries(moved) };
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
