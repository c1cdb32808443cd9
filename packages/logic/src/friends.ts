// Who is a friend of whom, and who has asked to be.
import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import {
  type Friend,
  type FriendRequest,
  FriendRequestSchema,
  FriendRequestStatus,
  FriendRequestStatusSchema,
  FriendSchema,
} from "@im-gateway/proto";
import type { Accounts } from "./accounts.ts";
import type { Blocks } from "./blocks.ts";
import { requireValid, violation } from "./fields.ts";
import { cutPage, readNumberToken } from "./page-token.ts";
import { enumeration, integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";

export type Direction = "received" | "sent";
export type Answer = (typeof FriendRequestStatus)["ACCEPTED" | "REJECTED"];

/** All that name another user throw not_found USER_NOT_FOUND for who is nobody, and invalid_argument for the caller. */
export interface Friends {
  /** The newest friendship first. Throws invalid_argument on a page token that `list` did not make. */
  list(
    userId: string,
    pageSize: number,
    pageToken: string,
  ): { readonly friends: Friend[]; readonly nextPageToken: string };
  /** Both ways. Nothing happens where they are none. */
  remove(callerId: string, userId: string): void;
  /** Pending requests between the two are rejected; who is a friend stays one. */
  block(callerId: string, userId: string): void;
  unblock(callerId: string, userId: string): void;
  /** The newest first. Throws invalid_argument on a page token that this list did not make. */
  listRequests(
    userId: string,
    direction: Direction,
    pageSize: number,
    pageToken: string,
  ): { readonly requests: FriendRequest[]; readonly nextPageToken: string };
  /**
   * The one that is pending, or a new one; where the other side has asked already, its request, accepted.
   * Throws failed_precondition ALREADY_FRIENDS, permission_denied BLOCKED.
   */
  request(callerId: string, userId: string, message: string): FriendRequest;
  /**
   * By whom it was sent to; the same answer again changes nothing.
   * Throws not_found REQUEST_NOT_FOUND, failed_precondition REQUEST_ANSWERED where the answer was the other one.
   */
  answer(callerId: string, requestId: string, answer: Answer): FriendRequest;
}

const { PENDING, REJECTED, ACCEPTED } = FriendRequestStatus;

export function createFriends(store: Store, accounts: Accounts, blocks: Blocks, now: () => number): Friends {
  const page = store.prepare(
    `SELECT f.friend_no, u.user_id, u.nickname, u.avatar_url, f.created_at_ms,
       EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = f.user_id AND b.blocked_id = f.friend_id) AS blocked
     FROM friends f JOIN users u ON u.user_id = f.friend_id
     WHERE f.user_id = ? AND f.friend_no < ? ORDER BY f.friend_no DESC LIMIT ?`,
  );
  const friendship = store.prepare("SELECT 1 FROM friends WHERE user_id = ? AND friend_id = ?");
  const insert = store.prepare(
    "INSERT INTO friends (user_id, friend_id, created_at_ms) VALUES (?, ?, ?) ON CONFLICT (user_id, friend_id) DO NOTHING",
  );
  const removeBoth = store.prepare(
    "DELETE FROM friends WHERE (user_id = ?1 AND friend_id = ?2) OR (user_id = ?2 AND friend_id = ?1)",
  );
  const requestsBy = (column: string): ReturnType<Store["prepare"]> =>
    store.prepare(
      `SELECT * FROM friend_requests WHERE ${column} = ? AND request_no < ? ORDER BY request_no DESC LIMIT ?`,
    );
  const requests = { received: requestsBy("to_user_id"), sent: requestsBy("from_user_id") };
  const addressed = store.prepare("SELECT * FROM friend_requests WHERE request_id = ? AND to_user_id = ?");
  const pending = store.prepare(
    `SELECT * FROM friend_requests WHERE from_user_id = ? AND to_user_id = ? AND status = ${PENDING}`,
  );
  const insertRequest = store.prepare(
    `INSERT INTO friend_requests (request_id, from_user_id, to_user_id, message, status, created_at_ms)
     VALUES (?, ?, ?, ?, ${PENDING}, ?) RETURNING *`,
  );
  const setStatus = store.prepare("UPDATE friend_requests SET status = ? WHERE request_id = ?");
  const rejectBetween = store.prepare(
    `UPDATE friend_requests SET status = ${REJECTED} WHERE status = ${PENDING}
       AND ((from_user_id = ?1 AND to_user_id = ?2) OR (from_user_id = ?2 AND to_user_id = ?1))`,
  );

  function requireOther(callerId: string, userId: string): void {
    requireValid(userId === callerId ? violation("user_id", "must be another user") : undefined);
    accounts.get(callerId);
    accounts.get(userId);
  }

  function settle(request: FriendRequest, status: Answer): FriendRequest {
    const { requestId, fromUserId, toUserId } = request;
    setStatus.run(status, requestId);
    if (status === ACCEPTED) {
      insert.run(fromUserId, toUserId, now());
      insert.run(toUserId, fromUserId, now());
    }
    return { ...request, status };
  }

  return {
    list(userId, pageSize, pageToken) {
      const found = page.all(userId, readNumberToken(pageToken, "friends"), pageSize + 1);
      const { rows, nextPageToken } = cutPage(found, pageSize, "friends", (row) => `${integer(row, "friend_no")}`);
      return { friends: rows.map(toFriend), nextPageToken };
    },

    remove(callerId, userId) {
      requireOther(callerId, userId);
      removeBoth.run(callerId, userId);
    },

    block: (callerId, userId) =>
      store.transaction(() => {
        requireOther(callerId, userId);
        blocks.add(callerId, userId);
        rejectBetween.run(callerId, userId);
      }),

    unblock(callerId, userId) {
      requireOther(callerId, userId);
      blocks.remove(callerId, userId);
    },

    listRequests(userId, direction, pageSize, pageToken) {
      const found = requests[direction].all(userId, readNumberToken(pageToken, direction), pageSize + 1);
      const { rows, nextPageToken } = cutPage(found, pageSize, direction, (row) => `${integer(row, "request_no")}`);
      return { requests: rows.map(toRequest), nextPageToken };
    },

    request: (callerId, userId, message) =>
      store.transaction(() => {
        requireOther(callerId, userId);
        if (friendship.get(callerId, userId) !== undefined) {
          throw failure(Code.FailedPrecondition, "ALREADY_FRIENDS", "you are friends already");
        }
        blocks.requireUnblocked(userId, callerId);
        const theirs = pending.get(userId, callerId);
        if (theirs !== undefined) {
          return settle(toRequest(theirs), ACCEPTED);
        }
        const mine = pending.get(callerId, userId) ?? insertRequest.get(randomUUID(), callerId, userId, message, now());
        if (mine === undefined) {
          throw new Error("a friend request was not inserted");
        }
        return toRequest(mine);
      }),

    answer: (callerId, requestId, answer) =>
      store.transaction(() => {
        const row = addressed.get(requestId, callerId);
        if (row === undefined) {
          throw failure(Code.NotFound, "REQUEST_NOT_FOUND", "there is no such friend request");
        }
        const request = toRequest(row);
        if (request.status === PENDING) {
          return settle(request, answer);
        }
        if (request.status !== answer) {
          throw failure(Code.FailedPrecondition, "REQUEST_ANSWERED", "the friend request was answered the other way");
        }
        return request;
      }),
  };
}

function toFriend(row: Row): Friend {
  return create(FriendSchema, {
    userId: text(row, "user_id"),
    nickname: text(row, "nickname"),
    avatarUrl: text(row, "avatar_url"),
    createdAt: BigInt(Math.floor(integer(row, "created_at_ms") / 1000)),
    blocked: integer(row, "blocked") === 1,
  });
}

function toRequest(row: Row): FriendRequest {
  return create(FriendRequestSchema, {
    requestId: text(row, "request_id"),
    fromUserId: text(row, "from_user_id"),
    toUserId: text(row, "to_user_id"),
    message: text(row, "message"),
    status: enumeration(row, "status", FriendRequestStatusSchema, FriendRequestStatus),
    createdAt: BigInt(Math.floor(integer(row, "created_at_ms") / 1000)),
  });
}
