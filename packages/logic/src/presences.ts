// Who is online, told to those whom it concerns.
import { create } from "@bufbuild/protobuf";
import { type Presence, PresenceSchema } from "@im-gateway/proto";
import { integer } from "./row.ts";
import type { Store } from "./store.ts";

export interface Presences {
  /**
   * In the order asked for. Nothing is told (offline, last seen 0) of who is neither the caller, nor a friend, nor in a conversation with
   * the caller. `last_seen` is when the last connection ended, also of who is online again.
   */
  list(callerId: string, userIds: readonly string[]): Presence[];
}

export function createPresences(store: Store): Presences {
  const one = store.prepare(
    `SELECT EXISTS (SELECT 1 FROM routes WHERE routes.user_id = u.user_id) AS online, u.last_seen_ms FROM users u
     WHERE u.user_id = ?2 AND (u.user_id = ?1
       OR EXISTS (SELECT 1 FROM friends WHERE user_id = ?1 AND friend_id = ?2)
       OR EXISTS (SELECT 1 FROM members mine JOIN members theirs USING (conversation_id)
         WHERE mine.user_id = ?1 AND theirs.user_id = ?2))`,
  );

  return {
    list: (callerId, userIds) =>
      userIds.map((userId) => {
        const row = one.get(callerId, userId);
        if (row === undefined) {
          return create(PresenceSchema, { userId });
        }
        const lastSeen = BigInt(Math.floor(integer(row, "last_seen_ms") / 1000));
        return create(PresenceSchema, { userId, online: integer(row, "online") === 1, lastSeen });
      }),
  };
}
