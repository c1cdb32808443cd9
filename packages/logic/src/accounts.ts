// Who exists: accounts with a password, and guests without one.
import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { type FieldViolation, failure } from "@im-gateway/core";
import { type User, UserSchema } from "@im-gateway/proto";
import { fold } from "./fold.ts";
import { cutPage, readPageToken } from "./page-token.ts";
import { hashPassword, verifyPassword } from "./password.ts";
import { integer, optionalText, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface Accounts {
  /** Rejects with already_exists USERNAME_TAKEN; upper and lower case are the same name. */
  register(username: string, password: string, nickname: string): Promise<User>;
  createGuest(nickname: string): User;
  /** Rejects with unauthenticated INVALID_CREDENTIALS, one answer and one duration for whatever is wrong. */
  login(username: string, password: string): Promise<User>;
  /** @throws ConnectError not_found USER_NOT_FOUND */
  get(userId: string): User;
  /** @throws ConnectError not_found USER_NOT_FOUND */
  update(userId: string, change: { nickname: string | undefined; avatarUrl: string | undefined }): User;
  /**
   * @param field the request field that holds the ids
   * @throws ConnectError not_found USER_NOT_FOUND, with a violation for each id that is nobody's
   */
  requireAll(userIds: readonly string[], field: string): void;
  exists(username: string): boolean;
  /**
   * Those whose username or nickname contains the query, without regard to case; by username.
   * Throws invalid_argument on a page token that `find` did not make.
   */
  find(query: string, pageSize: number, pageToken: string): { readonly users: User[]; readonly nextPageToken: string };
}

export function createAccounts(store: Store, now: () => number): Accounts {
  const insert = store.prepare(
    `INSERT INTO users (user_id, username, username_key, nickname, avatar_url, password_hash, created_at_ms)
     VALUES (?, ?, ?, ?, '', ?, ?) ON CONFLICT (username_key) DO NOTHING`,
  );
  const byId = store.prepare("SELECT * FROM users WHERE user_id = ?");
  const byName = store.prepare("SELECT * FROM users WHERE username_key = ?");
  const change = store.prepare(
    `UPDATE users SET nickname = coalesce(?, nickname), avatar_url = coalesce(?, avatar_url) WHERE user_id = ?`,
  );
  const page = store.prepare(
    `SELECT * FROM users WHERE username_key > ?1 AND (instr(username_key, ?2) > 0 OR instr(fold(nickname), ?2) > 0)
     ORDER BY username_key LIMIT ?3`,
  );

  function add(username: string, nickname: string, passwordHash: string | null): User {
    const userId = randomUUID();
    const result = insert.run(userId, username, fold(username), nickname, passwordHash, now());
    if (result.changes === 0) {
      throw usernameTaken();
    }
    return get(userId);
  }

  function get(userId: string): User {
    const row = byId.get(userId);
    if (row === undefined) {
      throw userNotFound();
    }
    return toUser(row);
  }

  return {
    async register(username, password, nickname) {
      if (byName.get(fold(username)) !== undefined) {
        throw usernameTaken();
      }
      return add(username, nickname, await hashPassword(password));
    },

    createGuest: (nickname) => add(`guest-${randomUUID()}`, nickname, null),

    async login(username, password) {
      const row = byName.get(fold(username));
      const right = await verifyPassword(password, row && optionalText(row, "password_hash"));
      if (row === undefined || !right) {
        throw failure(Code.Unauthenticated, "INVALID_CREDENTIALS", "the username or the password is wrong");
      }
      return toUser(row);
    },

    get,

    update(userId, { nickname, avatarUrl }) {
      change.run(nickname ?? null, avatarUrl ?? null, userId);
      return get(userId);
    },

    requireAll(userIds, field) {
      const violations = userIds
        .map((userId, index) => ({ userId, field: `${field}[${index}]`, description: "there is no such user" }))
        .filter(({ userId }) => byId.get(userId) === undefined);
      if (violations.length > 0) {
        throw userNotFound(violations);
      }
    },

    exists: (username) => byName.get(fold(username)) !== undefined,

    find(query, pageSize, pageToken) {
      const [last = ""] = readPageToken(pageToken, "users", /^(\S+)$/) ?? [];
      const found = page.all(last, fold(query), pageSize + 1);
      const { rows, nextPageToken } = cutPage(found, pageSize, "users", (row) => text(row, "username_key"));
      return { users: rows.map(toUser), nextPageToken };
    },
  };
}

/** not_found USER_NOT_FOUND. */
export function userNotFound(violations: readonly FieldViolation[] = []): ConnectError {
  return failure(Code.NotFound, "USER_NOT_FOUND", "there is no such user", violations.length > 0 ? { violations } : {});
}

function usernameTaken(): ConnectError {
  return failure(Code.AlreadyExists, "USERNAME_TAKEN", "the username is taken");
}

function toUser(row: Row): User {
  return create(UserSchema, {
    userId: text(row, "user_id"),
    username: text(row, "username"),
    nickname: text(row, "nickname"),
    avatarUrl: text(row, "avatar_url"),
    isGuest: optionalText(row, "password_hash") === undefined,
    createdAt: BigInt(Math.floor(integer(row, "created_at_ms") / 1000)),
  });
}
