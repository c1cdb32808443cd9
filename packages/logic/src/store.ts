// The one SQLite database of im-logic: how it is opened and what its tables are.
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fold } from "./fold.ts";
import { integer } from "./row.ts";

/** Everything here is synchronous and short. SQL has one function of ours, `fold`. */
export interface Store {
  /** Prepares a statement; callers keep it. */
  prepare(sql: string): StatementSync;
  /** All of `work` or nothing. A call inside another one's work joins it. */
  transaction<T>(work: () => T): T;
  close(): void;
}

/** Each entry brings the schema one version further (`PRAGMA user_version`); entries are only ever added. */
const migrations: readonly string[] = [
  `
  CREATE TABLE users (
    user_id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    nickname TEXT NOT NULL,
    avatar_url TEXT NOT NULL,
    password_hash TEXT,
    created_at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users,
    device_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    refresh_jti TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

  CREATE TABLE conversations (
    conversation_id TEXT NOT NULL PRIMARY KEY,
    type INTEGER NOT NULL,
    name TEXT NOT NULL,
    avatar_url TEXT NOT NULL,
    direct_key TEXT UNIQUE,
    last_seq INTEGER NOT NULL,
    activity INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX conversations_by_activity ON conversations (activity);

  CREATE TABLE members (
    member_no INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations,
    user_id TEXT NOT NULL REFERENCES users,
    role INTEGER NOT NULL,
    joined_at_ms INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    hidden_seq INTEGER NOT NULL DEFAULT -1,
    UNIQUE (conversation_id, user_id)
  ) STRICT;
  CREATE INDEX members_by_user ON members (user_id);

  CREATE TABLE messages (
    conversation_id TEXT NOT NULL REFERENCES conversations,
    seq_id INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    message_type INTEGER NOT NULL,
    content TEXT NOT NULL,
    client_msg_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, seq_id),
    UNIQUE (sender_id, client_msg_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE gateways (
    gateway_id TEXT NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE routes (
    route_no INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (gateway_id, connection_id)
  ) STRICT;
  CREATE INDEX routes_by_user ON routes (user_id);

  CREATE TABLE ended_connections (
    ended_no INTEGER PRIMARY KEY AUTOINCREMENT,
    gateway_id TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (gateway_id, connection_id)
  ) STRICT;

  CREATE TABLE outbox (
    outbox_no INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    headers TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX outbox_by_topic ON outbox (topic, outbox_no);
  CREATE INDEX outbox_by_age ON outbox (created_at_ms);
  `,
  `
  ALTER TABLE users ADD COLUMN last_seen_ms INTEGER NOT NULL DEFAULT 0;

  CREATE UNIQUE INDEX messages_by_id ON messages (message_id);

  CREATE TABLE friends (
    friend_no INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL REFERENCES users,
    friend_id TEXT NOT NULL REFERENCES users,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (user_id, friend_id)
  ) STRICT;
  CREATE INDEX friends_by_user ON friends (user_id, friend_no);

  CREATE TABLE friend_requests (
    request_no INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    from_user_id TEXT NOT NULL REFERENCES users,
    to_user_id TEXT NOT NULL REFERENCES users,
    message TEXT NOT NULL,
    status INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX friend_requests_received ON friend_requests (to_user_id, request_no);
  CREATE INDEX friend_requests_sent ON friend_requests (from_user_id, request_no);
  CREATE UNIQUE INDEX friend_requests_pending ON friend_requests (from_user_id, to_user_id) WHERE status = 1;

  CREATE TABLE blocks (
    user_id TEXT NOT NULL REFERENCES users,
    blocked_id TEXT NOT NULL REFERENCES users,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked_id)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE INDEX routes_by_gateway ON routes (gateway_id, user_id);

  ALTER TABLE gateways ADD COLUMN absent_since_ms INTEGER;

  CREATE TABLE announcements (
    user_id TEXT NOT NULL PRIMARY KEY,
    announced INTEGER,
    check_at_ms INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX announcements_due ON announcements (check_at_ms) WHERE check_at_ms IS NOT NULL;
  INSERT INTO announcements (user_id, announced, check_at_ms) SELECT DISTINCT user_id, NULL, 0 FROM routes;
  `,
  `
  CREATE TABLE outbox_losses (topic TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE revocations (
    session_id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    revoked_at_ms INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX revocations_by_time ON revocations (revoked_at_ms);

  ALTER TABLE gateways ADD COLUMN instance TEXT;
  ALTER TABLE gateways ADD COLUMN begun_revision INTEGER;
  `,
];

/**
 * @param dataDir the folder of `im-logic.sqlite`, made when absent in one that is there; without one the data lives in memory
 * @throws Error when the folder can not be made, or when the file was written by a newer version
 */
export function openStore(dataDir?: string): Store {
  if (dataDir !== undefined) {
    makeFolder(dataDir);
  }
  const database = new DatabaseSync(dataDir === undefined ? ":memory:" : join(dataDir, "im-logic.sqlite"));
  // synchronous=FULL: Kafka's offset is committed after this database, so what is committed here must survive a power cut.
  database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000;");
  database.function("fold", { deterministic: true }, (value) => fold(String(value)));

  function transaction<T>(work: () => T): T {
    if (database.isTransaction) {
      return work();
    }
    database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      database.exec("COMMIT");
      return result;
    } catch (error) {
      // SQLite itself has rolled back after some failures, a full disk for one.
      if (database.isTransaction) {
        database.exec("ROLLBACK");
      }
      throw error;
    }
  }

  transaction(() => migrate(database));
  return {
    prepare: (sql) => database.prepare(sql),
    transaction,
    close: () => database.close(),
  };
}

function migrate(database: DatabaseSync): void {
  const row = database.prepare("PRAGMA user_version").get();
  const version = row === undefined ? 0 : integer(row, "user_version");
  if (version > migrations.length) {
    throw new Error(`the database has schema version ${version}, this im-logic knows up to ${migrations.length}`);
  }
  for (const migration of migrations.slice(version)) {
    database.exec(migration);
  }
  database.exec(`PRAGMA user_version=${migrations.length}`);
}

/** Not `recursive`: that never returns for a folder below /proc (Node 24.21). */
function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (cause) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new Error(`data_dir: the folder ${path} cannot be made`, { cause });
    }
  }
}
