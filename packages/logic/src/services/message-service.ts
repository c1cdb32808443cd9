import type { ServiceImpl } from "@connectrpc/connect";
import type { ListMessagesRequest, MessageService } from "@im-gateway/proto";
import { checkPresent, checkQuery, pageSize, requireCaller, requireValid, violation } from "../fields.ts";
import type { Members } from "../members.ts";
import type { MessageCursor, Messages } from "../messages.ts";
import type { Notices } from "../notices.ts";
import type { Recalls } from "../recalls.ts";
import type { Search } from "../search.ts";

export interface MessageServiceOptions {
  readonly members: Members;
  readonly messages: Messages;
  readonly recalls: Recalls;
  readonly search: Search;
  readonly notices: Notices;
}

/** How many messages of an export are in memory at a time. */
const exportPageSize = 100;

/** `SendMessage` is not here: the gateway makes it a record on `upstream`. */
export function createMessageService(
  options: MessageServiceOptions,
): Omit<ServiceImpl<typeof MessageService>, "sendMessage"> {
  const { members, messages, recalls, search, notices } = options;
  return {
    listMessages({ callerId, conversationId, cursor, pageSize: size }) {
      requireCaller(callerId);
      const limit = pageSize(size);
      const start = toCursor(cursor);
      members.requireRole(conversationId, callerId);
      return messages.list(conversationId, start, limit);
    },

    deleteMessage({ callerId, conversationId, messageId }, context) {
      requireCaller(callerId);
      requireValid(checkPresent("message_id", messageId));
      const recalled = recalls.recall(callerId, conversationId, messageId);
      if (recalled !== undefined) {
        notices.recalled(recalled, context);
      }
      return {};
    },

    async *exportMessages({ callerId, conversationId, afterSeqId }, { signal }) {
      requireCaller(callerId);
      let after = notNegative("after_seq_id", afterSeqId);
      for (let more = true; more && !signal.aborted; ) {
        // For each page: who is put out of the conversation meanwhile gets no more of it.
        members.requireRole(conversationId, callerId);
        const page = messages.list(conversationId, { after }, exportPageSize);
        for (const message of page.messages) {
          yield message;
          after = message.seqId;
        }
        more = page.hasMore;
      }
    },

    search({ callerId, query, conversationId, pageSize: size, pageToken }) {
      requireCaller(callerId);
      requireValid(checkQuery(query, 128));
      const limit = pageSize(size);
      if (conversationId !== "") {
        members.requireRole(conversationId, callerId);
      }
      return search.messages({ userId: callerId, query, conversationId, pageSize: limit, pageToken });
    },
  };
}

function toCursor(cursor: ListMessagesRequest["cursor"]): MessageCursor {
  switch (cursor.case) {
    case undefined:
      return "newest";
    case "beforeSeqId":
      return { before: notNegative("before_seq_id", cursor.value) };
    case "afterSeqId":
      return { after: notNegative("after_seq_id", cursor.value) };
  }
}

function notNegative(field: string, seqId: bigint): bigint {
  requireValid(seqId < 0n ? violation(field, "must not be negative") : undefined);
  return seqId;
}
