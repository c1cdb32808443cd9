// The messages of a conversation, numbered 1, 2, 3, … without gaps.
import { randomUUID } from "node:crypto";
import type { SQLInputValue, StatementSync } from "node:sqlite";
import { create } from "@bufbuild/protobuf";
import { type Message, MessageSchema, MessageType, MessageTypeSchema } from "@im-gateway/proto";
import { enumeration, integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface NewMessage {
  readonly conversationId: string;
  readonly senderId: string;
  readonly messageType: MessageType;
  readonly content: string;
  readonly clientMsgId: string;
  /** Unix seconds, when it was sent; im-logic's clock takes the place of none and of one more than a day ahead. */
  readonly timestamp: bigint;
}

/** Where a page of history begins. */
export type MessageCursor = { readonly before: bigint } | { readonly after: bigint } | "newest";

export interface MessagePage {
  /** Ascending by seq_id. */
  readonly messages: Message[];
  /** There are more in the direction that was asked for. */
  readonly hasMore: boolean;
}

export interface Messages {
  /** What this user sent under this client_msg_id, ever. */
  findSent(senderId: string, clientMsgId: string): Message | undefined;
  /** Gives the message its id and the next seq_id; the sender's read position and the conversation's place in the lists follow. */
  append(message: NewMessage): Message;
  get(conversationId: string, seqId: bigint): Message | undefined;
  find(conversationId: string, messageId: string): Message | undefined;
  /** It keeps its place, and loses its content for good. */
  recall(conversationId: string, seqId: bigint): void;
  /** Those after one message, up to another, that were recalled: ascending by seq_id. */
  recalled(conversationId: string, after: bigint, upTo: bigint): Message[];
  /** Less than a page where the content would go beyond `maxBytes`, `maxPageBytes` by default; but one, where there is one. */
  list(conversationId: string, cursor: MessageCursor, pageSize: number, maxBytes?: number): MessagePage;
}

/** Of content in one answer, which so stays below the 4 MiB that gRPC clients take by default. */
export const maxPageBytes: number = 3 * 1024 * 1024;

const aDaySeconds = 24n * 60n * 60n;

/** The columns that `toMessage` reads, of the table `messages` under the given name. */
export function messageColumns(table: string): string {
  return [
    "conversation_id",
    "seq_id",
    "message_id",
    "sender_id",
    "message_type",
    "content",
    "client_msg_id",
    "timestamp",
  ]
    .map((column) => `${table}.${column} AS message_${column}`)
    .join(", ");
}

export function createMessages(store: Store, now: () => number): Messages {
  const select = `SELECT ${messageColumns("messages")} FROM messages`;
  const bySender = store.prepare(`${select} WHERE sender_id = ? AND client_msg_id = ?`);
  const bySeq = store.prepare(`${select} WHERE conversation_id = ? AND seq_id = ?`);
  const byId = store.prepare(`${select} WHERE conversation_id = ? AND message_id = ?`);
  const empty = store.prepare(
    `UPDATE messages SET content = '', message_type = ${MessageType.SYSTEM} WHERE conversation_id = ? AND seq_id = ?`,
  );
  const below = store.prepare(`${select} WHERE conversation_id = ? AND seq_id < ? ORDER BY seq_id DESC LIMIT ?`);
  const above = store.prepare(`${select} WHERE conversation_id = ? AND seq_id > ? ORDER BY seq_id LIMIT ?`);
  const emptied = store.prepare(
    `${select} WHERE conversation_id = ? AND seq_id > ? AND seq_id <= ? AND content = '' ORDER BY seq_id`,
  );
  const newest = store.prepare(`${select} WHERE conversation_id = ? ORDER BY seq_id DESC LIMIT ?`);
  const nextSeq = store.prepare(
    `UPDATE conversations SET last_seq = last_seq + 1, activity = (SELECT max(activity) + 1 FROM conversations), updated_at_ms = ?
     WHERE conversation_id = ? RETURNING last_seq`,
  );
  const insert = store.prepare(
    `INSERT INTO messages (conversation_id, seq_id, message_id, sender_id, message_type, content, client_msg_id, timestamp)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const readOwn = store.prepare("UPDATE members SET read_seq = ? WHERE conversation_id = ? AND user_id = ?");

  function one(statement: StatementSync, ...parameters: readonly SQLInputValue[]): Message | undefined {
    const row = statement.get(...parameters);
    return row && toMessage(row);
  }

  function list(conversationId: string, cursor: MessageCursor, pageSize: number, maxBytes = maxPageBytes): MessagePage {
    // One more than asked for tells whether there is more.
    const limit = pageSize + 1;
    if (cursor !== "newest" && "after" in cursor) {
      const rows = above.all(conversationId, cursor.after, limit);
      const count = countFitting(rows, pageSize, maxBytes);
      return { messages: rows.slice(0, count).map(toMessage), hasMore: rows.length > count };
    }
    const rows =
      cursor === "newest" ? newest.all(conversationId, limit) : below.all(conversationId, cursor.before, limit);
    const count = countFitting(rows, pageSize, maxBytes);
    return { messages: rows.slice(0, count).reverse().map(toMessage), hasMore: rows.length > count };
  }

  function append(message: NewMessage): Message {
    const { conversationId, senderId, messageType, content, clientMsgId } = message;
    return store.transaction(() => {
      const row = nextSeq.get(now(), conversationId);
      if (row === undefined) {
        throw new Error("a message was appended to a conversation that does not exist");
      }
      const seqId = integer(row, "last_seq");
      const present = BigInt(Math.floor(now() / 1000));
      const known = message.timestamp > 0n && message.timestamp < present + aDaySeconds;
      const timestamp = known ? message.timestamp : present;
      const messageId = randomUUID();
      insert.run(conversationId, seqId, messageId, senderId, messageType, content, clientMsgId, timestamp);
      readOwn.run(seqId, conversationId, senderId);
      return create(MessageSchema, {
        messageId,
        conversationId,
        senderId,
        messageType,
        content,
        seqId: BigInt(seqId),
        timestamp,
        clientMsgId,
      });
    });
  }

  return {
    findSent: (senderId, clientMsgId) => one(bySender, senderId, clientMsgId),
    append,
    get: (conversationId, seqId) => one(bySeq, conversationId, seqId),
    find: (conversationId, messageId) => one(byId, conversationId, messageId),
    recall(conversationId, seqId) {
      empty.run(conversationId, seqId);
    },
    recalled: (conversationId, after, upTo) => emptied.all(conversationId, after, upTo).map(toMessage),
    list,
  };
}

/** How many of the rows, of `messageColumns`, go into one page. */
export function countFitting(rows: readonly Row[], pageSize: number, maxBytes: number): number {
  let bytes = 0;
  const end = rows.slice(0, pageSize).findIndex((row, index) => {
    bytes += Buffer.byteLength(text(row, "message_content"));
    return bytes > maxBytes && index > 0;
  });
  return end === -1 ? Math.min(rows.length, pageSize) : end;
}

/** No other message is without content. */
export function isRecalled({ content }: Message): boolean {
  return content === "";
}

/** Reads the columns of `messageColumns`. */
export function toMessage(row: Row): Message {
  return create(MessageSchema, {
    messageId: text(row, "message_message_id"),
    conversationId: text(row, "message_conversation_id"),
    senderId: text(row, "message_sender_id"),
    messageType: enumeration(row, "message_message_type", MessageTypeSchema, MessageType),
    content: text(row, "message_content"),
    seqId: BigInt(integer(row, "message_seq_id")),
    timestamp: BigInt(integer(row, "message_timestamp")),
    clientMsgId: text(row, "message_client_msg_id"),
  });
}
