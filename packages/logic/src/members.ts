// Who is in which conversation, in which role.
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { type Member, MemberSchema, Role, RoleSchema } from "@im-gateway/proto";
import { enumeration, integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface Members {
  /** undefined for who is not a member. */
  roleOf(conversationId: string, userId: string): Role | undefined;
  /**
   * The rule for every question about a conversation: a stranger learns nothing, not even that it exists.
   * @throws ConnectError not_found CONVERSATION_NOT_FOUND
   */
  requireRole(conversationId: string, userId: string): Role;
  /** The first who joined first. */
  list(conversationId: string): Member[];
  count(conversationId: string): number;
  conversationIdsOf(userId: string): string[];
  /** Reading begins at the conversation's present end: what was said before counts as read. */
  add(conversationId: string, userId: string, role: Role): void;
  setRole(conversationId: string, userId: string, role: Role): void;
  remove(conversationId: string, userId: string): void;
  removeAll(conversationId: string): void;
  /** Who follows an owner that leaves: the oldest admin, else the oldest member. */
  heir(conversationId: string): string | undefined;
}

export function createMembers(store: Store, now: () => number): Members {
  const role = store.prepare("SELECT role FROM members WHERE conversation_id = ? AND user_id = ?");
  const all = store.prepare(
    `SELECT user_id, role, nickname, joined_at_ms FROM members JOIN users USING (user_id)
     WHERE conversation_id = ? ORDER BY member_no`,
  );
  const counted = store.prepare("SELECT count(*) AS members FROM members WHERE conversation_id = ?");
  const conversations = store.prepare("SELECT conversation_id FROM members WHERE user_id = ?");
  const insert = store.prepare(
    `INSERT INTO members (conversation_id, user_id, role, joined_at_ms, read_seq)
     SELECT conversation_id, ?, ?, ?, last_seq FROM conversations WHERE conversation_id = ?`,
  );
  const changeRole = store.prepare("UPDATE members SET role = ? WHERE conversation_id = ? AND user_id = ?");
  const removeOne = store.prepare("DELETE FROM members WHERE conversation_id = ? AND user_id = ?");
  const removeEvery = store.prepare("DELETE FROM members WHERE conversation_id = ?");
  const next = store.prepare(
    "SELECT user_id FROM members WHERE conversation_id = ? ORDER BY role DESC, member_no LIMIT 1",
  );

  function roleOf(conversationId: string, userId: string): Role | undefined {
    const row = role.get(conversationId, userId);
    return row && toRole(row);
  }

  return {
    roleOf,
    requireRole(conversationId, userId) {
      const found = roleOf(conversationId, userId);
      if (found === undefined) {
        throw conversationNotFound();
      }
      return found;
    },
    list: (conversationId) => all.all(conversationId).map(toMember),
    count(conversationId) {
      const row = counted.get(conversationId);
      return row === undefined ? 0 : integer(row, "members");
    },
    conversationIdsOf: (userId) => conversations.all(userId).map((row) => text(row, "conversation_id")),
    add(conversationId, userId, newRole) {
      insert.run(userId, newRole, now(), conversationId);
    },
    setRole(conversationId, userId, newRole) {
      changeRole.run(newRole, conversationId, userId);
    },
    remove(conversationId, userId) {
      removeOne.run(conversationId, userId);
    },
    removeAll(conversationId) {
      removeEvery.run(conversationId);
    },
    heir(conversationId) {
      const row = next.get(conversationId);
      return row && text(row, "user_id");
    },
  };
}

/** not_found CONVERSATION_NOT_FOUND. */
export function conversationNotFound(): ConnectError {
  return failure(Code.NotFound, "CONVERSATION_NOT_FOUND", "there is no such conversation");
}

function toMember(row: Row): Member {
  return create(MemberSchema, {
    userId: text(row, "user_id"),
    role: toRole(row),
    nickname: text(row, "nickname"),
    joinedAt: BigInt(Math.floor(integer(row, "joined_at_ms") / 1000)),
  });
}

function toRole(row: Row): Role {
  return enumeration(row, "role", RoleSchema, Role);
}
