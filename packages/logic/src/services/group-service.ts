import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Conversation, type Group, GroupSchema, type GroupService, Role } from "@im-gateway/proto";
import type { Accounts } from "../accounts.ts";
import { checkGroupChange, checkGroupName, checkPresent, requireCaller, requireValid, violation } from "../fields.ts";
import type { Groups } from "../groups.ts";
import type { Members } from "../members.ts";
import type { Notices } from "../notices.ts";

export interface GroupServiceOptions {
  readonly accounts: Accounts;
  readonly members: Members;
  readonly groups: Groups;
  readonly notices: Notices;
}

export function createGroupService(options: GroupServiceOptions): ServiceImpl<typeof GroupService> {
  const { accounts, members, groups, notices } = options;
  return {
    createGroup({ callerId, name, memberIds }, context) {
      accounts.get(requireCaller(callerId));
      requireValid(checkGroupName(name));
      const group = groups.create(callerId, name, memberIds);
      notices.changed("created", group.conversationId, context);
      return toGroup(group);
    },

    getGroup: ({ callerId, groupId }) => toGroup(groups.get(groupId, requireCaller(callerId))),

    updateGroup({ callerId, groupId, name, avatarUrl }, context) {
      requireCaller(callerId);
      requireValid(...checkGroupChange({ name, avatarUrl }));
      const group = groups.update(groupId, callerId, { name, avatarUrl });
      notices.changed("updated", groupId, context);
      return toGroup(group);
    },

    deleteGroup({ callerId, groupId }, context) {
      const former = groups.dissolve(groupId, requireCaller(callerId));
      notices.changedFor(former, "deleted", groupId, context);
      return {};
    },

    listMembers({ callerId, groupId }) {
      groups.get(groupId, requireCaller(callerId));
      return { members: members.list(groupId) };
    },

    createMembers({ callerId, groupId, userIds }, context) {
      requireCaller(callerId);
      requireValid(userIds.length === 0 ? violation("user_ids", "is required") : undefined);
      const added = groups.addMembers(groupId, callerId, userIds);
      if (added.length > 0) {
        notices.changedFor(added, "created", groupId, context);
        notices.changed("members", groupId, context);
      }
      return {};
    },

    deleteMember({ callerId, groupId, userId }, context) {
      const removed = userId === "me" ? requireCaller(callerId) : userId;
      groups.removeMember(groupId, requireCaller(callerId), removed);
      notices.changedFor([removed], "deleted", groupId, context);
      notices.changed("members", groupId, context);
      return {};
    },

    updateMemberRole({ callerId, groupId, userId, role }, context) {
      requireCaller(callerId);
      requireValid(
        role === Role.MEMBER || role === Role.ADMIN ? undefined : violation("role", "must be 1 (member) or 2 (admin)"),
      );
      groups.setRole(groupId, callerId, userId === "me" ? callerId : userId, role);
      notices.changed("members", groupId, context);
      return {};
    },

    joinGroup({ callerId, groupId }, context) {
      accounts.get(requireCaller(callerId));
      if (groups.join(groupId, callerId)) {
        notices.changedFor([callerId], "created", groupId, context);
        notices.changed("members", groupId, context);
      }
      return {};
    },

    transferGroup({ callerId, groupId, userId }, context) {
      requireCaller(callerId);
      requireValid(checkPresent("user_id", userId));
      groups.transfer(groupId, callerId, userId);
      notices.changed("members", groupId, context);
      return {};
    },
  };
}

function toGroup({ $typeName: _, peerId: __, ...conversation }: Conversation): Group {
  return create(GroupSchema, { ...conversation, groupId: conversation.conversationId });
}
