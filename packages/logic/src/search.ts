// Messages by what they say.
import { type Message, MessageType } from "@im-gateway/proto";
import { fold } from "./fold.ts";
import { countFitting, maxPageBytes, messageColumns, toMessage } from "./messages.ts";
import { cutPage, readPageToken } from "./page-token.ts";
import { integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface SearchQuery {
  readonly userId: string;
  readonly query: string;
  /** "" for all of the user's. */
  readonly conversationId: string;
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface Search {
  /**
   * Text messages of the user's conversations that contain the query, without regard to case, the newest first.
   * Throws invalid_argument on a page token that `messages` did not make.
   */
  messages(query: SearchQuery): { readonly messages: Message[]; readonly nextPageToken: string };
}

// Timestamps alone are no order: many messages can have the same.
const place = "found.timestamp, found.conversation_id, found.seq_id";
const placeBackwards = "found.timestamp DESC, found.conversation_id DESC, found.seq_id DESC";
const list = "search";

export function createSearch(store: Store): Search {
  const page = store.prepare(
    // A recalled message is no text any more.
    `SELECT ${messageColumns("found")} FROM members m JOIN messages found USING (conversation_id)
     WHERE m.user_id = ?1 AND (?2 = '' OR m.conversation_id = ?2) AND found.message_type = ${MessageType.TEXT}
       AND (${place}) < (?3, ?4, ?5) AND instr(fold(found.content), ?6) > 0
     ORDER BY ${placeBackwards} LIMIT ?7`,
  );

  return {
    messages({ userId, query, conversationId, pageSize, pageToken }) {
      const [timestamp, last, seqId] = readPageToken(pageToken, list, /^(\d{1,15}) (\S+) (\d{1,15})$/) ?? [];
      const before = [Number(timestamp ?? Number.MAX_SAFE_INTEGER), last ?? "", Number(seqId ?? 0)] as const;
      const found = page.all(userId, conversationId, ...before, fold(query), pageSize + 1);
      const { rows, nextPageToken } = cutPage(found, countFitting(found, pageSize, maxPageBytes), list, keyOf);
      return { messages: rows.map(toMessage), nextPageToken };
    },
  };
}

function keyOf(row: Row): string {
  const [timestamp, seqId] = [integer(row, "message_timestamp"), integer(row, "message_seq_id")];
  return `${timestamp} ${text(row, "message_conversation_id")} ${seqId}`;
}
