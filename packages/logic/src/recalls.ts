// Taking a message back, for everybody.
import { Code } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { type Message, Role } from "@im-gateway/proto";
import type { Members } from "./members.ts";
import { isRecalled, type Messages } from "./messages.ts";
import type { Store } from "./store.ts";

/** How long the sender may. */
const recallWindowSeconds = 120n;

export interface Recalls {
  /**
   * One's own within 2 minutes of its timestamp, anyone's at any time by an admin or the owner of the group.
   * Throws not_found CONVERSATION_NOT_FOUND and MESSAGE_NOT_FOUND, permission_denied NOT_ALLOWED, failed_precondition RECALL_TOO_LATE.
   * @returns the message; undefined where it was recalled before
   */
  recall(callerId: string, conversationId: string, messageId: string): Message | undefined;
}

export function createRecalls(store: Store, members: Members, messages: Messages, now: () => number): Recalls {
  return {
    recall: (callerId, conversationId, messageId) =>
      store.transaction(() => {
        const role = members.requireRole(conversationId, callerId);
        const message = messages.find(conversationId, messageId);
        if (message === undefined) {
          throw failure(Code.NotFound, "MESSAGE_NOT_FOUND", "there is no such message in the conversation");
        }
        const moderates = role >= Role.ADMIN;
        if (message.senderId !== callerId && !moderates) {
          throw failure(Code.PermissionDenied, "NOT_ALLOWED", "the message is somebody else's");
        }
        if (isRecalled(message)) {
          return undefined;
        }
        const age = BigInt(Math.floor(now() / 1000)) - message.timestamp;
        if (age > recallWindowSeconds && !moderates) {
          throw failure(Code.FailedPrecondition, "RECALL_TOO_LATE", "the message is older than 2 minutes");
        }
        messages.recall(conversationId, message.seqId);
        return message;
      }),
  };
}
