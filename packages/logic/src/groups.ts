// Groups: who may change what. A group is a conversation of type 2 with roles.
import { Code, type ConnectError } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import { type Conversation, ConversationType, Role } from "@im-gateway/proto";
import { type Accounts, userNotFound } from "./accounts.ts";
import type { Conversations } from "./conversations.ts";
import { requireValid, violation } from "./fields.ts";
import { conversationNotFound, type Members } from "./members.ts";
import type { Store } from "./store.ts";

/** The owner counts. */
export const maxGroupMembers = 1000;

/**
 * All throw not_found CONVERSATION_NOT_FOUND for a stranger, failed_precondition NOT_A_GROUP for a direct conversation, and
 * permission_denied NOT_ALLOWED for too low a role.
 */
export interface Groups {
  /** Throws not_found USER_NOT_FOUND for an id that is nobody's, invalid_argument for too many. */
  create(ownerId: string, name: string, memberIds: readonly string[]): Conversation;
  get(groupId: string, callerId: string): Conversation;
  /** By an admin or the owner. */
  update(
    groupId: string,
    callerId: string,
    change: { readonly name: string | undefined; readonly avatarUrl: string | undefined },
  ): Conversation;
  /** By the owner. Nobody is a member afterwards; what was said stays in the database. @returns who were members */
  dissolve(groupId: string, callerId: string): string[];
  /** By an admin or the owner. Throws failed_precondition GROUP_FULL, not_found USER_NOT_FOUND. @returns who was not in it before */
  addMembers(groupId: string, callerId: string, userIds: readonly string[]): string[];
  /**
   * Someone else: needs the higher role. Oneself: always; an owner that leaves is followed by the oldest admin, else the oldest member, and
   * with the last one the group is gone. Throws not_found USER_NOT_FOUND.
   */
  removeMember(groupId: string, callerId: string, userId: string): void;
  /** By the owner, of someone else. Throws not_found USER_NOT_FOUND. */
  setRole(groupId: string, callerId: string, userId: string, role: Role): void;
  /** By anybody. Throws failed_precondition GROUP_FULL. @returns the caller was not in it before */
  join(groupId: string, callerId: string): boolean;
  /** By the owner, who stays as an admin, to another member. Throws not_found USER_NOT_FOUND, invalid_argument for the owner itself. */
  transfer(groupId: string, callerId: string, userId: string): void;
}

export function createGroups(store: Store, accounts: Accounts, members: Members, conversations: Conversations): Groups {
  function requireGroup(groupId: string, callerId: string, lowestRole: Role): Conversation {
    const role = members.requireRole(groupId, callerId);
    const conversation = conversations.get(groupId, callerId);
    requireGroupType(conversation.type);
    if (role < lowestRole) {
      throw notAllowed();
    }
    return conversation;
  }

  function requireMember(groupId: string, userId: string): Role {
    const role = members.roleOf(groupId, userId);
    if (role === undefined) {
      throw userNotFound([violation("user_id", "is not a member")]);
    }
    return role;
  }

  return {
    create: (ownerId, name, memberIds) =>
      store.transaction(() => {
        const others = [...new Set(memberIds)].filter((userId) => userId !== ownerId);
        requireValid(
          others.length >= maxGroupMembers
            ? violation("member_ids", `a group has at most ${maxGroupMembers} members`)
            : undefined,
        );
        accounts.requireAll(memberIds, "member_ids");
        const groupId = conversations.createGroup(name);
        members.add(groupId, ownerId, Role.OWNER);
        for (const userId of others) {
          members.add(groupId, userId, Role.MEMBER);
        }
        return conversations.get(groupId, ownerId);
      }),

    get: (groupId, callerId) => requireGroup(groupId, callerId, Role.MEMBER),

    update: (groupId, callerId, change) =>
      store.transaction(() => {
        requireGroup(groupId, callerId, Role.ADMIN);
        conversations.touch(groupId, change);
        return conversations.get(groupId, callerId);
      }),

    dissolve: (groupId, callerId) =>
      store.transaction(() => {
        requireGroup(groupId, callerId, Role.OWNER);
        const former = members.list(groupId).map(({ userId }) => userId);
        members.removeAll(groupId);
        return former;
      }),

    addMembers: (groupId, callerId, userIds) =>
      store.transaction(() => {
        const { memberCount } = requireGroup(groupId, callerId, Role.ADMIN);
        const added = [...new Set(userIds)].filter((userId) => members.roleOf(groupId, userId) === undefined);
        requireRoom(memberCount + added.length);
        accounts.requireAll(userIds, "user_ids");
        for (const userId of added) {
          members.add(groupId, userId, Role.MEMBER);
        }
        if (added.length > 0) {
          conversations.touch(groupId, {});
        }
        return added;
      }),

    removeMember: (groupId, callerId, userId) =>
      store.transaction(() => {
        requireGroup(groupId, callerId, Role.MEMBER);
        const callerRole = members.requireRole(groupId, callerId);
        const role = requireMember(groupId, userId);
        if (userId !== callerId && callerRole <= role) {
          throw notAllowed();
        }
        members.remove(groupId, userId);
        const heir = role === Role.OWNER ? members.heir(groupId) : undefined;
        if (heir !== undefined) {
          members.setRole(groupId, heir, Role.OWNER);
        }
        conversations.touch(groupId, {});
      }),

    setRole: (groupId, callerId, userId, role) =>
      store.transaction(() => {
        requireGroup(groupId, callerId, Role.OWNER);
        if (requireMember(groupId, userId) === Role.OWNER) {
          throw notAllowed();
        }
        members.setRole(groupId, userId, role);
        conversations.touch(groupId, {});
      }),

    join: (groupId, callerId) =>
      store.transaction(() => {
        const type = conversations.typeOf(groupId);
        if (type === undefined) {
          throw conversationNotFound();
        }
        requireGroupType(type);
        if (members.roleOf(groupId, callerId) !== undefined) {
          return false;
        }
        requireRoom(members.count(groupId) + 1);
        members.add(groupId, callerId, Role.MEMBER);
        conversations.touch(groupId, {});
        return true;
      }),

    transfer: (groupId, callerId, userId) =>
      store.transaction(() => {
        requireGroup(groupId, callerId, Role.OWNER);
        requireValid(userId === callerId ? violation("user_id", "must be another member") : undefined);
        requireMember(groupId, userId);
        members.setRole(groupId, callerId, Role.ADMIN);
        members.setRole(groupId, userId, Role.OWNER);
        conversations.touch(groupId, {});
      }),
  };
}

function requireGroupType(type: Conversation["type"]): void {
  if (type !== ConversationType.GROUP) {
    throw failure(Code.FailedPrecondition, "NOT_A_GROUP", "the conversation is not a group");
  }
}

function requireRoom(memberCount: number): void {
  if (memberCount > maxGroupMembers) {
    throw failure(Code.FailedPrecondition, "GROUP_FULL", `a group has at most ${maxGroupMembers} members`);
  }
}

function notAllowed(): ConnectError {
  return failure(Code.PermissionDenied, "NOT_ALLOWED", "your role in the group does not allow this");
}
