import { Code } from "@connectrpc/connect";
import { ConversationType, type FriendRequest, FriendRequestStatus, MessageType } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

const { PENDING, ACCEPTED, REJECTED } = FriendRequestStatus;
const blocked = { code: Code.PermissionDenied, reason: "BLOCKED", fields: [] };

let nowMs: number;
let im: TestLogic;
let ada: string;
let bob: string;
let eve: string;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  im = await startLogic({ now: () => nowMs });
  [ada, bob, eve] = [await im.person("Ada"), await im.person("Bob"), await im.person("Eve")];
});
afterEach(() => im.stop());

const ask = (callerId: string, userId: string, message = ""): Promise<FriendRequest> =>
  im.friend.createFriendRequest({ callerId, userId, message });
const accept = (callerId: string, { requestId }: { requestId: string }): Promise<FriendRequest> =>
  im.friend.acceptFriendRequest({ callerId, requestId });
const reject = (callerId: string, { requestId }: { requestId: string }): Promise<FriendRequest> =>
  im.friend.rejectFriendRequest({ callerId, requestId });

async function befriend(one: string, other: string): Promise<void> {
  await accept(other, await ask(one, other));
}

async function friendsOf(callerId: string): Promise<string[]> {
  return (await im.friend.listFriends({ callerId })).friends.map(({ userId }) => userId);
}

async function requestsOf(callerId: string, direction: string): Promise<[string, FriendRequestStatus][]> {
  const { requests } = await im.friend.listFriendRequests({ callerId, direction });
  return requests.map(({ fromUserId, toUserId, status }) => [direction === "sent" ? toUserId : fromUserId, status]);
}

const direct = (callerId: string, peerId: string): Promise<{ conversationId: string }> =>
  im.conversation.createConversation({ callerId, type: ConversationType.DIRECT, memberIds: [peerId] });

describe("a request", () => {
  it("makes friends of both when it is accepted", async () => {
    const request = await ask(ada, bob, "it's me");
    expect(request).toMatchObject({
      requestId: expect.stringMatching(/./),
      fromUserId: ada,
      toUserId: bob,
      message: "it's me",
      status: PENDING,
      createdAt: BigInt(nowMs / 1000),
    });
    expect(await friendsOf(ada)).toEqual([]);
    nowMs += 60_000;
    expect(await accept(bob, request)).toEqual({ ...request, status: ACCEPTED });
    const { friends } = await im.friend.listFriends({ callerId: ada });
    const createdAt = BigInt(nowMs / 1000);
    expect(friends).toMatchObject([{ userId: bob, nickname: "Bob", avatarUrl: "", createdAt, blocked: false }]);
    expect(await friendsOf(bob)).toEqual([ada]);
  });

  it("that is pending is answered again, and accepted by one of the other side", async () => {
    const request = await ask(ada, bob, "first");
    expect(await ask(ada, bob, "second")).toEqual(request);
    expect(await ask(bob, ada)).toEqual({ ...request, status: ACCEPTED });
    expect([await friendsOf(ada), await friendsOf(bob)]).toEqual([[bob], [ada]]);
  });

  it("that was rejected may be made again", async () => {
    const request = await ask(ada, bob);
    await reject(bob, request);
    expect(await friendsOf(ada)).toEqual([]);
    const again = await ask(ada, bob);
    expect(again).toMatchObject({ status: PENDING });
    expect(again.requestId).not.toBe(request.requestId);
  });

  it.each([
    [accept, reject],
    [reject, accept],
  ])("is answered once: the same again changes nothing, the other is refused", async (first, other) => {
    const request = await ask(ada, bob);
    const answered = await first(bob, request);
    expect(await first(bob, request)).toEqual(answered);
    expect(await failureOf(other(bob, request))).toEqual({
      code: Code.FailedPrecondition,
      reason: "REQUEST_ANSWERED",
      fields: [],
    });
  });

  it("is nobody's to answer but the addressee's", async () => {
    const request = await ask(ada, bob);
    for (const call of [accept(ada, request), reject(eve, request), accept(bob, { requestId: "none" })]) {
      expect(await failureOf(call)).toEqual({ code: Code.NotFound, reason: "REQUEST_NOT_FOUND", fields: [] });
    }
  });

  it("is not for friends, and has a bounded message", async () => {
    await befriend(ada, bob);
    const alreadyFriends = { code: Code.FailedPrecondition, reason: "ALREADY_FRIENDS", fields: [] };
    expect(await failureOf(ask(ada, bob))).toEqual(alreadyFriends);
    expect(await failureOf(ask(bob, ada))).toEqual(alreadyFriends);
    expect(await ask(ada, eve, "é".repeat(256))).toMatchObject({ status: PENDING });
    expect(await failureOf(ask(ada, eve, "x".repeat(257)))).toMatchObject({ fields: ["message"] });
  });
});

describe("whoever is named", () => {
  type Call = (userId: string) => Promise<unknown>;
  const calls: [name: string, call: Call][] = [
    ["request", (userId) => ask(ada, userId)],
    ["delete", (userId) => im.friend.deleteFriend({ callerId: ada, userId })],
    ["block", (userId) => im.friend.blockFriend({ callerId: ada, userId })],
    ["unblock", (userId) => im.friend.unblockFriend({ callerId: ada, userId })],
  ];
  it.each(calls)("must be somebody else who exists: %s", async (_name, call) => {
    const invalid = { code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: ["user_id"] };
    expect(await failureOf(call(ada))).toEqual(invalid);
    expect(await failureOf(call(""))).toEqual(invalid);
    expect(await failureOf(call("nobody"))).toMatchObject({ code: Code.NotFound, reason: "USER_NOT_FOUND" });
  });
});

describe("lists", () => {
  it("have the requests of either direction, the newest first", async () => {
    await reject(bob, await ask(ada, bob));
    await ask(ada, eve);
    await ask(eve, bob);
    expect(await requestsOf(ada, "sent")).toEqual([
      [eve, PENDING],
      [bob, REJECTED],
    ]);
    expect(await requestsOf(bob, "received")).toEqual([
      [eve, PENDING],
      [ada, REJECTED],
    ]);
    expect(await requestsOf(bob, "")).toEqual(await requestsOf(bob, "received"));
    expect(await requestsOf(ada, "received")).toEqual([]);
  });

  it("come in pages, the newest friendship first", async () => {
    const others = [bob, eve, await im.person("Fay")];
    for (const other of others) {
      await befriend(other, ada);
    }
    const first = await im.friend.listFriends({ callerId: ada, pageSize: 2 });
    const second = await im.friend.listFriends({ callerId: ada, pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.friends, ...second.friends].map(({ userId }) => userId)).toEqual(others.reverse());
    expect(second.nextPageToken).toBe("");
    const page = { callerId: ada, direction: "received", pageSize: 2 };
    const requests = await im.friend.listFriendRequests(page);
    const more = await im.friend.listFriendRequests({ ...page, pageToken: requests.nextPageToken });
    expect([...requests.requests, ...more.requests].map(({ fromUserId }) => fromUserId)).toEqual(others);
    const wrongList = im.friend.listFriends({ callerId: ada, pageToken: requests.nextPageToken });
    expect(await failureOf(wrongList)).toMatchObject({ code: Code.InvalidArgument, fields: ["page_token"] });
  });

  it("know two directions", async () => {
    const call = im.friend.listFriendRequests({ callerId: ada, direction: "sideways" });
    expect(await failureOf(call)).toMatchObject({ code: Code.InvalidArgument, fields: ["direction"] });
  });
});

it("ends a friendship for both, whoever asks, and again", async () => {
  await befriend(ada, bob);
  await im.friend.deleteFriend({ callerId: bob, userId: ada });
  await im.friend.deleteFriend({ callerId: bob, userId: ada });
  expect([await friendsOf(ada), await friendsOf(bob)]).toEqual([[], []]);
});

describe("a block", () => {
  it("leaves a friend a friend, and shows to the one who blocks only", async () => {
    await befriend(ada, bob);
    await im.friend.blockFriend({ callerId: ada, userId: bob });
    await im.friend.blockFriend({ callerId: ada, userId: bob });
    expect((await im.friend.listFriends({ callerId: ada })).friends).toMatchObject([{ userId: bob, blocked: true }]);
    expect((await im.friend.listFriends({ callerId: bob })).friends).toMatchObject([{ userId: ada, blocked: false }]);
    await im.friend.unblockFriend({ callerId: ada, userId: bob });
    await im.friend.unblockFriend({ callerId: ada, userId: bob });
    expect((await im.friend.listFriends({ callerId: ada })).friends).toMatchObject([{ userId: bob, blocked: false }]);
  });

  it("ends requests and refuses new ones, until it ends", async () => {
    const [request, own] = [await ask(bob, ada), await ask(ada, eve)];
    await im.friend.blockFriend({ callerId: ada, userId: bob });
    expect(await requestsOf(ada, "received")).toEqual([[bob, REJECTED]]);
    expect(await requestsOf(ada, "sent")).toEqual([[eve, own.status]]);
    expect(await failureOf(accept(ada, request))).toMatchObject({ reason: "REQUEST_ANSWERED" });
    expect(await failureOf(ask(bob, ada))).toEqual(blocked);
    expect(await ask(ada, bob)).toMatchObject({ status: PENDING });
    await im.friend.unblockFriend({ callerId: ada, userId: bob });
    expect(await ask(bob, ada)).toMatchObject({ status: ACCEPTED });
  });

  it("refuses direct messages of the blocked one and no others", async () => {
    const { conversationId } = await direct(ada, bob);
    const groupId = await im.groupOf(ada, bob);
    await im.friend.blockFriend({ callerId: ada, userId: bob });
    const say = (userId: string, target: string, clientMsgId: string): Promise<void> =>
      im.sendUpstream({
        ...{ userId, conversationId: target, clientMsgId, gatewayId: "g1", connectionId: `of ${userId}` },
        ...{ content: "hello", messageType: MessageType.TEXT },
      });
    await say(bob, conversationId, "refused");
    await say(bob, groupId, "in a group");
    await say(ada, conversationId, "by the one who blocks");
    await im.settled();
    const answers = im.received.map(({ record: { type, clientMsgId, data } }) => [type, clientMsgId, data?.reason]);
    expect(answers.sort()).toEqual([
      ["error", "refused", "BLOCKED"],
      ["message-stored", "by the one who blocks", undefined],
      ["message-stored", "in a group", undefined],
    ]);
    await im.friend.unblockFriend({ callerId: ada, userId: bob });
    await say(bob, conversationId, "allowed again");
    await im.settled();
    const { messages } = await im.message.listMessages({ callerId: bob, conversationId });
    expect(messages.map(({ clientMsgId }) => clientMsgId)).toEqual(["by the one who blocks", "allowed again"]);
  });

  it("refuses to open a direct conversation, new or old, to the blocked one only", async () => {
    await im.friend.blockFriend({ callerId: ada, userId: bob });
    expect(await failureOf(direct(bob, ada))).toEqual(blocked);
    await direct(ada, bob);
    expect(await failureOf(direct(bob, ada))).toEqual(blocked);
  });
});
