// What people were told of whom, online or not, and whose state has to be looked at again. Kept in the database, so that a restarted im-logic
// tells what it owes.
import { integer, optionalInteger, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface Announcement {
  readonly userId: string;
  /** undefined: not known to all. */
  readonly announced: boolean | undefined;
  /** Has a connection. */
  readonly online: boolean;
  readonly lastSeenMs: number;
}

export interface Announcements {
  /** The user has a new connection: to be looked at now. */
  came(userId: string): void;
  /** A connection of the user has ended: if it was the last, to be looked at when no other has come in time. */
  went(userId: string): void;
  /** All connections of the gateway will be removed: the same. @param graceMs Default: as for one connection */
  allWent(gatewayId: string, graceMs?: number): void;
  /** Those who have to be looked at now, the longest waiting first. */
  due(limit: number): Announcement[];
  /** People know now. */
  told(userId: string, online: boolean): void;
  /** Not all of them were told after all: to be looked at once more. */
  notTold(userId: string): void;
  /** After a restart: events of the time between wait, and come first. */
  restarted(): void;
}

/** So long somebody without a connection still counts as online: who changes networks is not announced twice. */
export const offlineAfterMs = 3000;

export function createAnnouncements(store: Store, now: () => number): Announcements {
  // A row for everybody who has a connection or has to be looked at. Who is known to be online has no check_at_ms.
  const putNow = store.prepare(
    `INSERT INTO announcements (user_id, announced, check_at_ms) VALUES (?, 0, ?)
     ON CONFLICT (user_id) DO UPDATE SET check_at_ms = min(check_at_ms, excluded.check_at_ms) WHERE check_at_ms IS NOT NULL`,
  );
  const putLater = store.prepare(
    `INSERT INTO announcements (user_id, announced, check_at_ms)
     SELECT ?1, 0, ?2 WHERE NOT EXISTS (SELECT 1 FROM routes WHERE user_id = ?1)
     ON CONFLICT (user_id) DO UPDATE SET check_at_ms = excluded.check_at_ms`,
  );
  const putAll = store.prepare(
    `INSERT INTO announcements (user_id, announced, check_at_ms) SELECT DISTINCT user_id, 0, ?2 FROM routes WHERE gateway_id = ?1
     ON CONFLICT (user_id) DO UPDATE SET check_at_ms = excluded.check_at_ms`,
  );
  const select = store.prepare(
    `SELECT a.user_id, a.announced, coalesce(u.last_seen_ms, 0) AS last_seen_ms,
       EXISTS (SELECT 1 FROM routes r WHERE r.user_id = a.user_id) AS online
     FROM announcements a LEFT JOIN users u USING (user_id) WHERE a.check_at_ms <= ? ORDER BY a.check_at_ms LIMIT ?`,
  );
  const setOnline = store.prepare("UPDATE announcements SET announced = 1, check_at_ms = NULL WHERE user_id = ?");
  const remove = store.prepare("DELETE FROM announcements WHERE user_id = ?");
  const setUnknown = store.prepare(
    `INSERT INTO announcements (user_id, announced, check_at_ms) VALUES (?, NULL, ?)
     ON CONFLICT (user_id) DO UPDATE SET announced = NULL, check_at_ms = coalesce(check_at_ms, excluded.check_at_ms)`,
  );
  const postpone = store.prepare(
    `UPDATE announcements SET check_at_ms = max(coalesce(check_at_ms, 0), ?) WHERE check_at_ms IS NOT NULL
       OR NOT EXISTS (SELECT 1 FROM routes WHERE routes.user_id = announcements.user_id)`,
  );

  return {
    came(userId) {
      putNow.run(userId, now());
    },
    went(userId) {
      putLater.run(userId, now() + offlineAfterMs);
    },
    allWent(gatewayId, graceMs = offlineAfterMs) {
      putAll.run(gatewayId, now() + graceMs);
    },
    due: (limit) =>
      select.all(now(), limit).map((row) => {
        const announced = optionalInteger(row, "announced");
        return {
          userId: text(row, "user_id"),
          announced: announced === undefined ? undefined : announced === 1,
          online: integer(row, "online") === 1,
          lastSeenMs: integer(row, "last_seen_ms"),
        };
      }),
    told(userId, online) {
      (online ? setOnline : remove).run(userId);
    },
    notTold(userId) {
      setUnknown.run(userId, now());
    },
    restarted() {
      postpone.run(now() + offlineAfterMs);
    },
  };
}
