import type { ServiceImpl } from "@connectrpc/connect";
import type { UserService } from "@im-gateway/proto";
import type { Accounts } from "../accounts.ts";
import {
  checkAvatarUrl,
  checkNickname,
  checkQuery,
  pageSize,
  requireCaller,
  requireValid,
  violation,
} from "../fields.ts";
import type { Presences } from "../presences.ts";

const maxPresences = 100;

export function createUserService(accounts: Accounts, presences: Presences): ServiceImpl<typeof UserService> {
  return {
    getMe: ({ callerId }) => accounts.get(requireCaller(callerId)),

    updateMe({ callerId, nickname, avatarUrl }) {
      requireCaller(callerId);
      requireValid(
        nickname === undefined ? undefined : checkNickname(nickname),
        avatarUrl === undefined ? undefined : checkAvatarUrl(avatarUrl),
      );
      return accounts.update(callerId, { nickname, avatarUrl });
    },

    getUser({ callerId, userId }) {
      requireCaller(callerId);
      return accounts.get(userId);
    },

    listUsers({ callerId, query, pageSize: size, pageToken }) {
      requireCaller(callerId);
      requireValid(checkQuery(query, 64));
      return accounts.find(query, pageSize(size), pageToken);
    },

    listPresences({ callerId, userIds }) {
      requireCaller(callerId);
      requireValid(
        userIds.length === 0 ? violation("user_ids", "is required") : undefined,
        userIds.length > maxPresences ? violation("user_ids", `must have at most ${maxPresences} items`) : undefined,
      );
      return { presences: presences.list(callerId, userIds) };
    },
  };
}
