// im-logic's answer to a resume, looked at before it is believed. Pure.
import type { Message, ResumeResponse } from "@im-gateway/proto";
import type { Through } from "./gate.ts";

/** The last seq_id that a client has, by conversation; one that is not named counts as 0. */
export type Cursors = Readonly<Record<string, bigint>>;

export interface Missed {
  /** Of each conversation ascending and without gaps after its cursor. */
  readonly messages: readonly Message[];
  /** What the answer has of those that were given besides. */
  readonly ofGiven: readonly Message[];
  /** What the client has then: where a conversation is whole, its head. */
  readonly through: Through;
  /** The part of it that the client named or was given something of. */
  readonly changed: Through;
  /** Conversations whose head is not reached, or not known. */
  readonly incomplete: readonly string[];
}

/** CONTRACT §4. */
export const maxPerConversation = 200;
export const maxMessages = 1000;

/**
 * @param cursors what the client has, with what it is given besides
 * @param given how many messages the client is given of each conversation besides the answer's: those right before its cursor
 */
export function readResumeAnswer(
  answer: ResumeResponse,
  cursors: Cursors,
  given: ReadonlyMap<string, number> = new Map(),
): Missed {
  const heads = new Map(Object.entries(answer.heads));
  const cursorOf = new Map(Object.entries(cursors));
  const lacking = new Set(answer.incomplete);
  const messages: Message[] = [];
  const ofGiven: Message[] = [];
  const reached = new Map(
    [...given.keys()].map((conversationId) => [conversationId, cursorOf.get(conversationId) ?? 0n]),
  );
  const room = maxMessages - [...given.values()].reduce((sum, count) => sum + count, 0);
  for (const [conversationId, own] of byConversation(answer.messages)) {
    let last = cursorOf.get(conversationId) ?? 0n;
    const givenCount = given.get(conversationId) ?? 0;
    const end = Math.min(messages.length + maxPerConversation - givenCount, room);
    ofGiven.push(...own.filter(({ seqId }) => seqId <= last && seqId > last - BigInt(givenCount)));
    for (const message of own.sort(bySeq)) {
      if (message.seqId === last + 1n && messages.length < end) {
        messages.push(message);
        last = message.seqId;
        reached.set(conversationId, last);
      }
    }
    if (!heads.has(conversationId)) {
      lacking.add(conversationId);
    }
  }
  const through = new Map(reached);
  for (const [conversationId, head] of heads) {
    const last = reached.get(conversationId) ?? cursorOf.get(conversationId) ?? 0n;
    if (last < head) {
      lacking.add(conversationId);
    }
    // A cursor of the client's beyond the head says nothing about what comes next.
    through.set(conversationId, last < head || reached.has(conversationId) ? last : head);
  }
  const changed = new Map(
    [...through].filter(([conversationId]) => reached.has(conversationId) || cursorOf.has(conversationId)),
  );
  return { messages, ofGiven, through, changed, incomplete: [...lacking] };
}

function byConversation(messages: readonly Message[]): ReadonlyMap<string, Message[]> {
  const conversations = new Map<string, Message[]>();
  for (const message of messages) {
    const own = conversations.get(message.conversationId);
    if (own === undefined) {
      conversations.set(message.conversationId, [message]);
    } else {
      own.push(message);
    }
  }
  return conversations;
}

function bySeq(a: Message, b: Message): number {
  return a.seqId < b.seqId ? -1 : a.seqId > b.seqId ? 1 : 0;
}
