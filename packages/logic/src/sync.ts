// What a client that was away has missed, in all of its conversations.
import type { Conversation, Message } from "@im-gateway/proto";
import type { Conversations } from "./conversations.ts";
import { type Messages, maxPageBytes } from "./messages.ts";
import { integer, text } from "./row.ts";
import type { Store } from "./store.ts";

/** The last seq_id that a client has, by conversation; one that is not named counts as 0. */
export type Cursors = Readonly<Record<string, bigint>>;

export interface Missed {
  /** Of each conversation ascending by seq_id, without gaps after its cursor. */
  readonly messages: Message[];
  /** Those that the messages are of, and those named that have messages beyond their cursor. */
  readonly conversations: Conversation[];
  /** Nothing is left to ask for. */
  readonly complete: boolean;
}

export interface Sync {
  /** The most recently changed conversations first; less than `limit` messages in all where they are large. */
  missed(userId: string, cursors: Cursors, limit: number): Missed;
}

export function createSync(store: Store, conversations: Conversations, messages: Messages): Sync {
  const ends = store.prepare(
    `SELECT conversation_id, last_seq FROM members JOIN conversations USING (conversation_id)
     WHERE user_id = ? ORDER BY activity DESC`,
  );

  return {
    missed: (userId, cursors, limit) =>
      // One view of the database, so that no conversation goes on between its end and its messages.
      store.transaction(() => {
        const behind = ends
          .all(userId)
          .map((row) => ({ conversationId: text(row, "conversation_id"), lastSeq: BigInt(integer(row, "last_seq")) }))
          .filter(({ conversationId, lastSeq }) => lastSeq > (cursors[conversationId] ?? 0n));
        const missed: Message[] = [];
        const changed: Conversation[] = [];
        let complete = true;
        // For messages, and for the last ones of the conversations.
        let roomBytes = maxPageBytes;
        for (const { conversationId } of behind) {
          const room = roomBytes > 0 ? limit - missed.length : 0;
          const cursor = cursors[conversationId];
          if (room > 0) {
            const page = messages.list(conversationId, { after: cursor ?? 0n }, room, roomBytes);
            missed.push(...page.messages);
            roomBytes -= bytesOf(...page.messages);
            complete &&= !page.hasMore;
          } else {
            complete = false;
          }
          if (room > 0 || (cursor !== undefined && roomBytes > 0)) {
            const conversation = conversations.get(conversationId, userId);
            changed.push(conversation);
            roomBytes -= conversation.lastMessage === undefined ? 0 : bytesOf(conversation.lastMessage);
          }
        }
        return { messages: missed, conversations: changed, complete };
      }),
  };
}

function bytesOf(...messages: readonly Message[]): number {
  return messages.reduce((bytes, { content }) => bytes + Buffer.byteLength(content), 0);
}
