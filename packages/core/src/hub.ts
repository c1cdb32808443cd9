// Who is connected here: the connections of this gateway, by connection id and by user.
import type { Connection } from "./connection.ts";
import type { Identity } from "./identity/token.ts";

/** Whom a record is for: all connections of the users and the named connections, less the excluded. */
export interface Recipients {
  readonly userIds: readonly string[];
  readonly connectionIds: readonly string[];
  readonly excludedConnectionIds: readonly string[];
  /** Everybody. */
  readonly broadcast: boolean;
}

export interface Hub {
  readonly size: number;
  add(connection: Connection, identity: Identity): void;
  /** @returns whether the user has none left */
  remove(connection: Connection, identity: Identity): boolean;
  /** Each connection once. @param absent gets the named users who have none */
  find(recipients: Recipients, absent?: string[]): Iterable<Connection>;
  all(): Iterable<Connection>;
}

export function createHub(): Hub {
  const byId = new Map<string, Connection>();
  const byUser = new Map<string, Set<Connection>>();

  return {
    get size() {
      return byId.size;
    },
    add(connection, { userId }) {
      byId.set(connection.id, connection);
      const connections = byUser.get(userId);
      if (connections === undefined) {
        byUser.set(userId, new Set([connection]));
      } else {
        connections.add(connection);
      }
    },
    remove(connection, { userId }) {
      byId.delete(connection.id);
      const connections = byUser.get(userId);
      connections?.delete(connection);
      if (connections?.size === 0) {
        byUser.delete(userId);
      }
      return !byUser.has(userId);
    },
    find({ userIds, connectionIds, excludedConnectionIds, broadcast }, absent) {
      // The common record: one user, nobody else, nobody excluded.
      if (userIds.length === 1 && connectionIds.length === 0 && excludedConnectionIds.length === 0 && !broadcast) {
        const connections = byUser.get(userIds[0] ?? "");
        if (connections === undefined) {
          absent?.push(...userIds);
        }
        return connections ?? [];
      }
      const found = new Set<Connection>(broadcast ? byId.values() : []);
      for (const userId of userIds) {
        const connections = byUser.get(userId);
        if (connections === undefined) {
          absent?.push(userId);
          continue;
        }
        for (const connection of connections) {
          found.add(connection);
        }
      }
      for (const connectionId of connectionIds) {
        const connection = byId.get(connectionId);
        if (connection !== undefined) {
          found.add(connection);
        }
      }
      for (const connectionId of excludedConnectionIds) {
        const connection = byId.get(connectionId);
        if (connection !== undefined) {
          found.delete(connection);
        }
      }
      return found;
    },
    all() {
      return byId.values();
    },
  };
}
