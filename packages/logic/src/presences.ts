// Who is online, told to those whom it concerns.
import { create } from "@bufbuild/protobuf";
import { ConversationType, type Presence, PresenceSchema } from "@im-gateway/proto";
import { type Route, toRoute } from "./routes.ts";
import { integer } from "./row.ts";
import type { Store } from "./store.ts";

export interface Presences {
  /**
   * In the order asked for. Nothing is told (offline, last seen 0) of who is neither the caller, nor a friend, nor in a conversation with
   * the caller, and of who blocks the caller. Who has just lost the last connection is online until that is announced; `last_seen` is when
   * the last connection ended, also of who is online again.
   */
  list(callerId: string, userIds: readonly string[]): Presence[];
  /**
   * The connections of those who are told of this user without asking: friends, and members of direct conversations and of groups up to
   * `maxAnnouncedMembers`. Not the user, and nobody where one blocks the other.
   */
  audience(userId: string): Route[];
}

/** Of a group with more members, coming and going is told to nobody: it would cost the square of its size. */
export const maxAnnouncedMembers = 200;

export function createPresences(store: Store, now: () => number): Presences {
  const one = store.prepare(
    `SELECT EXISTS (SELECT 1 FROM routes WHERE routes.user_id = u.user_id)
         OR EXISTS (SELECT 1 FROM announcements a WHERE a.user_id = u.user_id AND a.check_at_ms > ?3) AS online,
       u.last_seen_ms
     FROM users u WHERE u.user_id = ?2 AND (u.user_id = ?1
       OR (EXISTS (SELECT 1 FROM friends WHERE user_id = ?1 AND friend_id = ?2)
         OR EXISTS (SELECT 1 FROM members mine JOIN members theirs USING (conversation_id)
           WHERE mine.user_id = ?1 AND theirs.user_id = ?2))
       AND NOT EXISTS (SELECT 1 FROM blocks WHERE user_id = ?2 AND blocked_id = ?1))`,
  );
  const watching = store.prepare(
    `SELECT r.user_id, r.gateway_id, r.connection_id FROM (
       SELECT friend_id AS user_id FROM friends WHERE user_id = ?1
       UNION SELECT theirs.user_id
         FROM members mine JOIN conversations c USING (conversation_id) JOIN members theirs USING (conversation_id)
         WHERE mine.user_id = ?1 AND (c.type = ${ConversationType.DIRECT} OR ?2 >=
           (SELECT count(*) FROM (SELECT 1 FROM members m WHERE m.conversation_id = c.conversation_id LIMIT ?2 + 1)))
     ) watcher JOIN routes r USING (user_id)
     WHERE r.user_id <> ?1 AND NOT EXISTS (SELECT 1 FROM blocks b
       WHERE (b.user_id = ?1 AND b.blocked_id = r.user_id) OR (b.user_id = r.user_id AND b.blocked_id = ?1))`,
  );

  return {
    list: (callerId, userIds) =>
      userIds.map((userId) => {
        const row = one.get(callerId, userId, now());
        if (row === undefined) {
          return create(PresenceSchema, { userId });
        }
        const lastSeen = BigInt(Math.floor(integer(row, "last_seen_ms") / 1000));
        return create(PresenceSchema, { userId, online: integer(row, "online") === 1, lastSeen });
      }),
    audience: (userId) => watching.all(userId, maxAnnouncedMembers).map(toRoute),
  };
}
