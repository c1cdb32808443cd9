import type { ServiceImpl } from "@connectrpc/connect";
import type { ListMessagesRequest, MessageService } from "@im-gateway/proto";
import { pageSize, requireCaller, requireValid, violation } from "../fields.ts";
import type { Members } from "../members.ts";
import type { MessageCursor, Messages } from "../messages.ts";

/** `SendMessage` is not here: the gateway makes it a record on `upstream`. */
export function createMessageService(
  members: Members,
  messages: Messages,
): Pick<ServiceImpl<typeof MessageService>, "listMessages"> {
  return {
    listMessages({ callerId, conversationId, cursor, pageSize: size }) {
      requireCaller(callerId);
      const limit = pageSize(size);
      const start = toCursor(cursor);
      members.requireRole(conversationId, callerId);
      return messages.list(conversationId, start, limit);
    },
  };
}

function toCursor(cursor: ListMessagesRequest["cursor"]): MessageCursor {
  switch (cursor.case) {
    case undefined:
      return "newest";
    case "beforeSeqId":
      requireValid(cursor.value < 0n ? violation("before_seq_id", "must not be negative") : undefined);
      return { before: cursor.value };
    case "afterSeqId":
      requireValid(cursor.value < 0n ? violation("after_seq_id", "must not be negative") : undefined);
      return { after: cursor.value };
  }
}
