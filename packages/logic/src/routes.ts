// Who is where: the connections of every user, as the gateways tell them on `user-events`. Kept in the database, so that a restarted
// im-logic still knows them.
import type { Announcements } from "./announcements.ts";
import { integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

/** One connection of one user. */
export interface Route {
  readonly userId: string;
  readonly gatewayId: string;
  readonly connectionId: string;
}

/** A user event, as far as it is about routes. */
export interface RouteEvent extends Route {
  /** One life of the gateway; the newest one's routes are the only ones that count. */
  readonly gatewayEpoch: number;
  /** Counts up within an epoch. */
  readonly seq: number;
  /** Unix milliseconds. */
  readonly atMs: number;
}

export interface Routes {
  /**
   * @returns the route's number: higher than that of every route that was there before. undefined where the event is of an older epoch or
   * older than what is known of its connection
   */
  connect(event: RouteEvent): number | undefined;
  /** Removes this connection only, and remembers that it has ended. With a user's last one the user was last seen. */
  disconnect(event: RouteEvent): void;
  /** The number of a connection's route; undefined where there is none. */
  numberOf(gatewayId: string, connectionId: string): number | undefined;
  /** Removes all routes of a gateway that is gone since then. @returns how many */
  endGateway(gatewayId: string, sinceMs: number): number;
  ofMembers(conversationId: string): Route[];
  ofUsers(userIds: readonly string[]): Route[];
  /** The highest number of the present routes; 0 without any. */
  newest(): number;
}

/** How many ended connections are remembered: a late `connected` of one of them brings nothing back. */
const endedConnectionsKept = 10_000;
/** A gateway with a new epoch tells of its connections anew, or, where its process is a new one, its clients come back. */
const newEpochGraceMs = 10_000;

export function createRoutes(store: Store, announcements: Announcements): Routes {
  const epochOf = store.prepare("SELECT epoch FROM gateways WHERE gateway_id = ?");
  const setEpoch = store.prepare(
    `INSERT INTO gateways (gateway_id, epoch) VALUES (?, ?)
     ON CONFLICT (gateway_id) DO UPDATE SET epoch = excluded.epoch, absent_since_ms = NULL`,
  );
  const removeRoutes = store.prepare("DELETE FROM routes WHERE gateway_id = ?");
  const removeEnded = store.prepare("DELETE FROM ended_connections WHERE gateway_id = ?");
  const ended = store.prepare("SELECT seq FROM ended_connections WHERE gateway_id = ? AND connection_id = ?");
  const putEnded = store.prepare(
    `INSERT INTO ended_connections (gateway_id, connection_id, seq) VALUES (?, ?, ?)
     ON CONFLICT (gateway_id, connection_id) DO UPDATE SET seq = max(seq, excluded.seq)`,
  );
  const pruneEnded = store.prepare(
    "DELETE FROM ended_connections WHERE ended_no <= (SELECT max(ended_no) FROM ended_connections) - ?",
  );
  const put = store.prepare(
    `INSERT INTO routes (user_id, gateway_id, connection_id, seq) VALUES (?, ?, ?, ?)
     ON CONFLICT (gateway_id, connection_id) DO UPDATE SET seq = excluded.seq WHERE excluded.seq >= seq RETURNING route_no`,
  );
  const one = store.prepare("SELECT route_no FROM routes WHERE gateway_id = ? AND connection_id = ?");
  const remove = store.prepare("DELETE FROM routes WHERE gateway_id = ? AND connection_id = ? AND seq <= ?");
  const seenUser = store.prepare(
    `UPDATE users SET last_seen_ms = max(last_seen_ms, ?1)
     WHERE user_id = ?2 AND NOT EXISTS (SELECT 1 FROM routes WHERE routes.user_id = users.user_id)`,
  );
  const seenAt = store.prepare(
    `UPDATE users SET last_seen_ms = max(last_seen_ms, ?1) WHERE user_id IN (SELECT user_id FROM routes WHERE gateway_id = ?2)
       AND NOT EXISTS (SELECT 1 FROM routes WHERE routes.user_id = users.user_id AND gateway_id <> ?2)`,
  );
  const byConversation = store.prepare(
    `SELECT r.user_id, r.gateway_id, r.connection_id FROM members m JOIN routes r USING (user_id)
     WHERE m.conversation_id = ?`,
  );
  const byUsers = store.prepare(
    "SELECT r.user_id, r.gateway_id, r.connection_id FROM json_each(?) u JOIN routes r ON r.user_id = u.value",
  );
  const last = store.prepare("SELECT coalesce(max(route_no), 0) AS newest FROM routes");

  /** False for an event of an epoch that is over. The first of a newer one ends all that the gateway had before. */
  function enterEpoch({ gatewayId, gatewayEpoch, atMs }: RouteEvent): boolean {
    const row = epochOf.get(gatewayId);
    const known = row && integer(row, "epoch");
    if (known !== undefined && gatewayEpoch < known) {
      return false;
    }
    if (known !== gatewayEpoch) {
      seenAt.run(atMs, gatewayId);
      announcements.allWent(gatewayId, newEpochGraceMs);
      removeRoutes.run(gatewayId);
      removeEnded.run(gatewayId);
      setEpoch.run(gatewayId, gatewayEpoch);
    }
    return true;
  }

  return {
    connect: (event) =>
      store.transaction(() => {
        const { userId, gatewayId, connectionId, seq } = event;
        if (!enterEpoch(event)) {
          return undefined;
        }
        const end = ended.get(gatewayId, connectionId);
        if (end !== undefined && integer(end, "seq") >= seq) {
          return undefined;
        }
        const row = put.get(userId, gatewayId, connectionId, seq);
        announcements.came(userId);
        return row && integer(row, "route_no");
      }),

    disconnect: (event) =>
      store.transaction(() => {
        const { userId, gatewayId, connectionId, seq, atMs } = event;
        if (!enterEpoch(event)) {
          return;
        }
        if (remove.run(gatewayId, connectionId, seq).changes > 0) {
          announcements.went(userId);
        }
        seenUser.run(atMs, userId);
        putEnded.run(gatewayId, connectionId, seq);
        pruneEnded.run(endedConnectionsKept);
      }),

    numberOf(gatewayId, connectionId) {
      const row = one.get(gatewayId, connectionId);
      return row && integer(row, "route_no");
    },
    endGateway: (gatewayId, sinceMs) =>
      store.transaction(() => {
        seenAt.run(sinceMs, gatewayId);
        announcements.allWent(gatewayId);
        return Number(removeRoutes.run(gatewayId).changes);
      }),

    ofMembers: (conversationId) => byConversation.all(conversationId).map(toRoute),
    ofUsers: (userIds) => byUsers.all(JSON.stringify(userIds)).map(toRoute),
    newest() {
      const row = last.get();
      return row === undefined ? 0 : integer(row, "newest");
    },
  };
}

/** @param row with the columns user_id, gateway_id, connection_id */
export function toRoute(row: Row): Route {
  return {
    userId: text(row, "user_id"),
    gatewayId: text(row, "gateway_id"),
    connectionId: text(row, "connection_id"),
  };
}
