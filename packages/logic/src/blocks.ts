// Who wants to hear nothing from whom.
import { Code, type ConnectError } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { ConversationType } from "@im-gateway/proto";
import type { Store } from "./store.ts";

/** A block goes one way: who blocks may still write to who is blocked. */
export interface Blocks {
  add(userId: string, blockedId: string): void;
  remove(userId: string, blockedId: string): void;
  /** @throws ConnectError permission_denied BLOCKED where the user blocks the caller */
  requireUnblocked(userId: string, callerId: string): void;
  /** Groups have no blocks. @throws ConnectError permission_denied BLOCKED where the other one of a direct conversation blocks the sender */
  requireMaySend(conversationId: string, senderId: string): void;
}

export function createBlocks(store: Store, now: () => number): Blocks {
  const insert = store.prepare(
    "INSERT INTO blocks (user_id, blocked_id, created_at_ms) VALUES (?, ?, ?) ON CONFLICT (user_id, blocked_id) DO NOTHING",
  );
  const removeOne = store.prepare("DELETE FROM blocks WHERE user_id = ? AND blocked_id = ?");
  const one = store.prepare("SELECT 1 FROM blocks WHERE user_id = ? AND blocked_id = ?");
  const byPeer = store.prepare(
    `SELECT 1 FROM conversations c JOIN members peer USING (conversation_id) JOIN blocks b ON b.user_id = peer.user_id
     WHERE c.conversation_id = ? AND c.type = ${ConversationType.DIRECT} AND b.blocked_id = ?`,
  );

  return {
    add(userId, blockedId) {
      insert.run(userId, blockedId, now());
    },
    remove(userId, blockedId) {
      removeOne.run(userId, blockedId);
    },
    requireUnblocked(userId, callerId) {
      if (one.get(userId, callerId) !== undefined) {
        throw blocked();
      }
    },
    requireMaySend(conversationId, senderId) {
      if (byPeer.get(conversationId, senderId) !== undefined) {
        throw blocked();
      }
    },
  };
}

function blocked(): ConnectError {
  return failure(Code.PermissionDenied, "BLOCKED", "this user does not want to hear from you");
}
