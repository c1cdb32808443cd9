// Conversations as each of their members sees them.
import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  type Conversation,
  ConversationSchema,
  ConversationType,
  ConversationTypeSchema,
  Role,
} from "@im-gateway/proto";
import { conversationNotFound, type Members } from "./members.ts";
import { messageColumns, toMessage } from "./messages.ts";
import { cutPage, readNumberToken } from "./page-token.ts";
import { enumeration, integer, optionalText, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface ReadPosition {
  readonly seqId: bigint;
  /** The position went forward. */
  readonly moved: boolean;
  readonly unreadCount: bigint;
}

/** Methods that name a user throw not_found CONVERSATION_NOT_FOUND where that user is not a member. */
export interface Conversations {
  /** The one that these two have, back in the caller's list if they had hidden it. */
  openDirect(callerId: string, peerId: string): { readonly conversation: Conversation; readonly created: boolean };
  /** @returns its id; it has no members yet */
  createGroup(name: string): string;
  get(conversationId: string, userId: string): Conversation;
  /** Also for who is not in it; undefined where there is none, or nobody in it any more. */
  typeOf(conversationId: string): Conversation["type"] | undefined;
  /** The most recently changed first. Throws invalid_argument on a page token that `list` did not make. */
  list(
    userId: string,
    pageSize: number,
    pageToken: string,
  ): { readonly conversations: Conversation[]; readonly nextPageToken: string };
  /** A change that everybody sees: of the name and picture (undefined stays as it is) or of the members. */
  touch(conversationId: string, change: { name?: string | undefined; avatarUrl?: string | undefined }): void;
  /** Out of this user's list until there is a newer message. */
  hide(conversationId: string, userId: string): void;
  /** Never moves back, and not past the last message. */
  markRead(conversationId: string, userId: string, seqId: bigint): ReadPosition;
}

// A direct conversation goes by its peer's name and picture.
const selectAsMember = `
  SELECT c.conversation_id, c.type, c.last_seq, c.activity, c.updated_at_ms, m.read_seq, peer.user_id AS peer_id,
    coalesce(peer.nickname, c.name) AS name, coalesce(peer.avatar_url, c.avatar_url) AS avatar_url,
    (SELECT user_id FROM members WHERE conversation_id = c.conversation_id AND role = ${Role.OWNER}) AS owner_id,
    (SELECT count(*) FROM members WHERE conversation_id = c.conversation_id) AS member_count,
    ${messageColumns("last")}
  FROM members m JOIN conversations c USING (conversation_id)
    LEFT JOIN members other
      ON c.type = ${ConversationType.DIRECT} AND other.conversation_id = c.conversation_id AND other.user_id <> m.user_id
    LEFT JOIN users peer ON peer.user_id = other.user_id
    LEFT JOIN messages last ON last.conversation_id = c.conversation_id AND last.seq_id = c.last_seq
  WHERE m.user_id = ?1`;

export function createConversations(store: Store, members: Members, now: () => number): Conversations {
  const insert = store.prepare(
    `INSERT INTO conversations (conversation_id, type, name, avatar_url, direct_key, last_seq, activity, updated_at_ms)
     VALUES (?, ?, ?, '', ?, 0, (SELECT coalesce(max(activity), 0) + 1 FROM conversations), ?)`,
  );
  const byDirectKey = store.prepare("SELECT conversation_id FROM conversations WHERE direct_key = ?");
  const one = store.prepare(`${selectAsMember} AND c.conversation_id = ?2`);
  const type = store.prepare(
    `SELECT type FROM conversations WHERE conversation_id = ?1 AND EXISTS (SELECT 1 FROM members WHERE conversation_id = ?1)`,
  );
  const page = store.prepare(
    // Pages go by `activity`, which counts up with every change of any conversation: two changes in one millisecond still have an order.
    // The page is cut out first, so that members are counted for it only.
    `${selectAsMember} AND c.conversation_id IN (
       SELECT conversation_id FROM members JOIN conversations USING (conversation_id)
       WHERE user_id = ?1 AND last_seq > hidden_seq AND activity < ?2 ORDER BY activity DESC LIMIT ?3)
     ORDER BY c.activity DESC`,
  );
  const change = store.prepare(
    `UPDATE conversations SET name = coalesce(?, name), avatar_url = coalesce(?, avatar_url),
       activity = (SELECT max(activity) + 1 FROM conversations), updated_at_ms = ? WHERE conversation_id = ?`,
  );
  const hideAtEnd = store.prepare(
    `UPDATE members SET hidden_seq = (SELECT last_seq FROM conversations c WHERE c.conversation_id = members.conversation_id)
     WHERE conversation_id = ? AND user_id = ?`,
  );
  const show = store.prepare("UPDATE members SET hidden_seq = -1 WHERE conversation_id = ? AND user_id = ?");
  const read = store.prepare(
    `UPDATE members SET read_seq = min(?1, c.last_seq) FROM conversations c
     WHERE c.conversation_id = members.conversation_id
       AND members.conversation_id = ?2 AND user_id = ?3 AND read_seq < min(?1, c.last_seq)`,
  );

  function get(conversationId: string, userId: string): Conversation {
    const row = one.get(userId, conversationId);
    if (row === undefined) {
      throw conversationNotFound();
    }
    return toConversation(row);
  }

  return {
    openDirect: (callerId, peerId) =>
      store.transaction(() => {
        const directKey = [callerId, peerId].sort().join(" ");
        const row = byDirectKey.get(directKey);
        if (row !== undefined) {
          const conversationId = text(row, "conversation_id");
          show.run(conversationId, callerId);
          return { conversation: get(conversationId, callerId), created: false };
        }
        const conversationId = randomUUID();
        insert.run(conversationId, ConversationType.DIRECT, "", directKey, now());
        members.add(conversationId, callerId, Role.MEMBER);
        members.add(conversationId, peerId, Role.MEMBER);
        return { conversation: get(conversationId, callerId), created: true };
      }),

    createGroup(name) {
      const conversationId = randomUUID();
      insert.run(conversationId, ConversationType.GROUP, name, null, now());
      return conversationId;
    },

    get,

    typeOf(conversationId) {
      const row = type.get(conversationId);
      return row && toType(row);
    },

    list(userId, pageSize, pageToken) {
      const found = page.all(userId, readNumberToken(pageToken, "activity"), pageSize + 1);
      const { rows, nextPageToken } = cutPage(found, pageSize, "activity", (row) => `${integer(row, "activity")}`);
      return { conversations: rows.map(toConversation), nextPageToken };
    },

    touch(conversationId, { name, avatarUrl }) {
      change.run(name ?? null, avatarUrl ?? null, now(), conversationId);
    },

    hide(conversationId, userId) {
      members.requireRole(conversationId, userId);
      hideAtEnd.run(conversationId, userId);
    },

    markRead: (conversationId, userId, seqId) =>
      store.transaction(() => {
        const moved = read.run(seqId, conversationId, userId).changes !== 0;
        const { readSeqId, unreadCount } = get(conversationId, userId);
        return { seqId: readSeqId, moved, unreadCount };
      }),
  };
}

function toConversation(row: Row): Conversation {
  const peerId = optionalText(row, "peer_id");
  const lastSeq = integer(row, "last_seq");
  const readSeq = integer(row, "read_seq");
  return create(ConversationSchema, {
    conversationId: text(row, "conversation_id"),
    type: toType(row),
    name: text(row, "name"),
    avatarUrl: text(row, "avatar_url"),
    ownerId: optionalText(row, "owner_id") ?? "",
    memberCount: integer(row, "member_count"),
    ...(peerId === undefined ? {} : { peerId }),
    ...(lastSeq === 0 ? {} : { lastMessage: toMessage(row) }),
    lastSeqId: BigInt(lastSeq),
    readSeqId: BigInt(readSeq),
    // Sending reads: so what lies beyond the read position is never one's own.
    unreadCount: BigInt(lastSeq - readSeq),
    updatedAt: BigInt(Math.floor(integer(row, "updated_at_ms") / 1000)),
  });
}

function toType(row: Row): Conversation["type"] {
  return enumeration(row, "type", ConversationTypeSchema, ConversationType);
}
