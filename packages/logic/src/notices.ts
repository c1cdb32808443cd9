// Frames that tell people of a change which an RPC made. They are pushed: the RPC does not wait, and a client that misses one sees the change
// when it next asks.
import type { HandlerContext } from "@connectrpc/connect";
import { traceOf } from "@im-gateway/core";
import type { Message } from "@im-gateway/proto";
import type { Downstream } from "./downstream.ts";
import { frame, type Trace } from "./fanout.ts";
import type { Route, Routes } from "./routes.ts";

/**
 * `change` of conversation-updated: created (the receiver is in it now), updated (name or picture), members (who is in it, or their roles),
 * deleted (dissolved, or the receiver was removed or left: for the receiver it no longer exists).
 */
export type Change = "created" | "updated" | "members" | "deleted";

export interface Notices {
  /** conversation-updated to all connections of all members. */
  changed(change: Change, conversationId: string, context: HandlerContext): void;
  /** conversation-updated to all connections of these users. */
  changedFor(userIds: readonly string[], change: Change, conversationId: string, context: HandlerContext): void;
  /** message-read to all connections of all members, the reader's own among them. */
  read(conversationId: string, userId: string, seqId: bigint, context: HandlerContext): void;
  /** message-recalled to all connections of all members, the caller's own among them. */
  recalled(message: Message, context: HandlerContext): void;
}

export function createNotices(routes: Routes, downstream: Downstream): Notices {
  function pushChange(
    change: Change,
    conversationId: string,
    audience: readonly Route[],
    context: HandlerContext,
  ): void {
    const data = { conversation_id: conversationId, change };
    downstream.push(frame("conversation-updated", data, conversationId, audience, trace(context)));
  }

  return {
    changed(change, conversationId, context) {
      pushChange(change, conversationId, routes.ofMembers(conversationId), context);
    },
    changedFor(userIds, change, conversationId, context) {
      pushChange(change, conversationId, routes.ofUsers(userIds), context);
    },
    read(conversationId, userId, seqId, context) {
      const data = { conversation_id: conversationId, user_id: userId, seq_id: Number(seqId) };
      downstream.push(frame("message-read", data, conversationId, routes.ofMembers(conversationId), trace(context)));
    },
    recalled({ conversationId, messageId, seqId }, context) {
      const data = { conversation_id: conversationId, message_id: messageId, seq_id: Number(seqId) };
      downstream.push(
        frame("message-recalled", data, conversationId, routes.ofMembers(conversationId), trace(context)),
      );
    },
  };
}

function trace(context: HandlerContext): Trace {
  const { traceId, traceparent } = traceOf(context.requestHeader.get("traceparent"));
  return { traceId, headers: {}, kafkaHeaders: { traceparent } };
}
