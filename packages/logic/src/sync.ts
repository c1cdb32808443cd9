// What a client that was away has missed, in all of its conversations.
import type { Conversation, Message } from "@im-gateway/proto";
import type { Conversations } from "./conversations.ts";
import type { Messages } from "./messages.ts";
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
  /** The most recently changed conversations first. @param limit messages in all */
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
        const missed: Missed = { messages: [], conversations: [], complete: true };
        let complete = true;
        for (const { conversationId } of behind) {
          const room = limit - missed.messages.length;
          const cursor = cursors[conversationId];
          if (room > 0) {
            const page = messages.list(conversationId, { after: cursor ?? 0n }, room);
            missed.messages.push(...page.messages);
            complete &&= !page.hasMore;
          } else {
            complete = false;
          }
          if (room > 0 || cursor !== undefined) {
            missed.conversations.push(conversations.get(conversationId, userId));
          }
        }
        return { ...missed, complete };
      }),
  };
}
