import type { ServiceImpl } from "@connectrpc/connect";
import { FriendRequestStatus, type FriendService } from "@im-gateway/proto";
import { checkMaxLength, checkPresent, pageSize, requireCaller, requireValid, violation } from "../fields.ts";
import type { Direction, Friends } from "../friends.ts";

export function createFriendService(friends: Friends): ServiceImpl<typeof FriendService> {
  /** The caller and the other one of a request that names one. */
  function pair({ callerId, userId }: { callerId: string; userId: string }): [callerId: string, userId: string] {
    requireCaller(callerId);
    requireValid(checkPresent("user_id", userId));
    return [callerId, userId];
  }

  return {
    listFriends: ({ callerId, pageSize: size, pageToken }) =>
      friends.list(requireCaller(callerId), pageSize(size), pageToken),

    deleteFriend(request) {
      friends.remove(...pair(request));
      return {};
    },

    blockFriend(request) {
      friends.block(...pair(request));
      return {};
    },

    unblockFriend(request) {
      friends.unblock(...pair(request));
      return {};
    },

    listFriendRequests: ({ callerId, direction, pageSize: size, pageToken }) =>
      friends.listRequests(requireCaller(callerId), toDirection(direction), pageSize(size), pageToken),

    createFriendRequest(request) {
      const [callerId, userId] = pair(request);
      requireValid(checkMaxLength("message", request.message, 256));
      return friends.request(callerId, userId, request.message);
    },

    acceptFriendRequest: ({ callerId, requestId }) =>
      friends.answer(requireCaller(callerId), requestId, FriendRequestStatus.ACCEPTED),

    rejectFriendRequest: ({ callerId, requestId }) =>
      friends.answer(requireCaller(callerId), requestId, FriendRequestStatus.REJECTED),
  };
}

function toDirection(direction: string): Direction {
  const known = direction === "sent" || direction === "received" || direction === "";
  requireValid(known ? undefined : violation("direction", "must be received or sent"));
  return direction === "sent" ? "sent" : "received";
}
