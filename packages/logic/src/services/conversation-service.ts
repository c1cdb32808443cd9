import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { invalidFields, maxViolations } from "@im-gateway/core";
import { type Conversation, type ConversationService, ConversationType } from "@im-gateway/proto";
import type { Accounts } from "../accounts.ts";
import type { Blocks } from "../blocks.ts";
import type { Conversations } from "../conversations.ts";
import { checkGroupChange, checkGroupName, pageSize, requireCaller, requireValid, violation } from "../fields.ts";
import type { Groups } from "../groups.ts";
import type { Members } from "../members.ts";
import type { Notices } from "../notices.ts";
import type { Sync } from "../sync.ts";

export interface ConversationServiceOptions {
  readonly accounts: Accounts;
  readonly blocks: Blocks;
  readonly members: Members;
  readonly conversations: Conversations;
  readonly groups: Groups;
  readonly sync: Sync;
  readonly notices: Notices;
}

export function createConversationService(
  options: ConversationServiceOptions,
): ServiceImpl<typeof ConversationService> {
  const { accounts, blocks, members, conversations, groups, sync, notices } = options;

  function openDirect(callerId: string, memberIds: readonly string[], context: HandlerContext): Conversation {
    const [peerId, ...more] = new Set(memberIds.filter((userId) => userId !== callerId));
    if (peerId === undefined || more.length > 0) {
      throw invalidFields(violation("member_ids", "must name exactly one other user"));
    }
    accounts.requireAll(memberIds, "member_ids");
    blocks.requireUnblocked(peerId, callerId);
    const { conversation, created } = conversations.openDirect(callerId, peerId);
    if (created) {
      notices.changed("created", conversation.conversationId, context);
    }
    return conversation;
  }

  return {
    createConversation({ callerId, type, memberIds, name }, context) {
      accounts.get(requireCaller(callerId));
      requireValid(
        isConversationType(type) ? undefined : violation("type", "must be 1 (direct) or 2 (group)"),
        memberIds.length === 0 ? violation("member_ids", "is required") : undefined,
        name === "" ? undefined : checkGroupName(name),
      );
      if (type === ConversationType.DIRECT) {
        return openDirect(callerId, memberIds, context);
      }
      const group = groups.create(callerId, name, memberIds);
      notices.changed("created", group.conversationId, context);
      return group;
    },

    listConversations: ({ callerId, pageSize: size, pageToken }) =>
      conversations.list(requireCaller(callerId), pageSize(size), pageToken),

    getConversation: ({ callerId, conversationId }) => conversations.get(conversationId, requireCaller(callerId)),

    updateConversation({ callerId, conversationId, name, avatarUrl }, context) {
      requireCaller(callerId);
      requireValid(...checkGroupChange({ name, avatarUrl }));
      const conversation = groups.update(conversationId, callerId, { name, avatarUrl });
      notices.changed("updated", conversationId, context);
      return conversation;
    },

    deleteConversation({ callerId, conversationId }) {
      conversations.hide(conversationId, requireCaller(callerId));
      return {};
    },

    markRead({ callerId, conversationId, seqId }, context) {
      requireCaller(callerId);
      requireValid(seqId < 1n ? violation("seq_id", "must be at least 1") : undefined);
      const position = conversations.markRead(conversationId, callerId, seqId);
      if (position.moved) {
        notices.read(conversationId, callerId, position.seqId, context);
      }
      return { unreadCount: position.unreadCount };
    },

    getUnread({ callerId, conversationId }) {
      const { unreadCount } = conversations.get(conversationId, requireCaller(callerId));
      return { unreadCount };
    },

    listMembers({ callerId, conversationId }) {
      members.requireRole(conversationId, requireCaller(callerId));
      return { members: members.list(conversationId) };
    },

    sync({ callerId, cursors, pageSize: size }) {
      requireCaller(callerId);
      const negative = Object.entries(cursors).filter(([, seqId]) => seqId < 0n);
      requireValid(
        ...negative
          .slice(0, maxViolations)
          .map(([conversationId]) => violation(`cursors.${conversationId}`, "must not be negative")),
      );
      return sync.missed(callerId, cursors, pageSize(size, 100));
    },
  };
}

function isConversationType(type: ConversationType): boolean {
  return type === ConversationType.DIRECT || type === ConversationType.GROUP;
}
