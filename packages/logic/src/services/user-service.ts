import type { ServiceImpl } from "@connectrpc/connect";
import type { UserService } from "@im-gateway/proto";
import type { Accounts } from "../accounts.ts";
import { checkAvatarUrl, checkNickname, requireCaller, requireValid } from "../fields.ts";

export function createUserService(
  accounts: Accounts,
): Omit<ServiceImpl<typeof UserService>, "listUsers" | "listPresences"> {
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
  };
}
