import { Code } from "@connectrpc/connect";
import { ConversationType } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

let im: TestLogic;
let callerId: string;

let nowMs: number;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  im = await startLogic({ now: () => nowMs });
  callerId = await im.person("Ada");
});
afterEach(() => im.stop());

it("shows oneself and others", async () => {
  const userId = await im.person("Bob");
  expect(await im.user.getMe({ callerId })).toMatchObject({ userId: callerId, nickname: "Ada", avatarUrl: "" });
  expect(await im.user.getUser({ callerId, userId })).toMatchObject({ userId, nickname: "Bob", isGuest: true });
});

it("changes what is given and nothing else", async () => {
  await im.user.updateMe({ callerId, nickname: "Ada Lovelace" });
  await im.user.updateMe({ callerId, avatarUrl: "https://example.org/ada.png" });
  expect(await im.user.updateMe({ callerId })).toMatchObject({
    nickname: "Ada Lovelace",
    avatarUrl: "https://example.org/ada.png",
  });
  expect(await im.user.updateMe({ callerId, avatarUrl: "" })).toMatchObject({ avatarUrl: "" });
});

it.each([
  [{ nickname: "" }, "nickname"],
  [{ nickname: "a\nb" }, "nickname"],
  [{ avatarUrl: "javascript:alert(1)" }, "avatar_url"],
  [{ avatarUrl: "https://" }, "avatar_url"],
  [{ avatarUrl: `https://example.org/${"x".repeat(1024)}` }, "avatar_url"],
])("refuses %j", async (change, field) => {
  const call = im.user.updateMe({ callerId, ...change });
  expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
});

it("does not know everybody", async () => {
  const notFound = { code: Code.NotFound, reason: "USER_NOT_FOUND", fields: [] };
  expect(await failureOf(im.user.getUser({ callerId, userId: "nobody" }))).toEqual(notFound);
  expect(await failureOf(im.user.getMe({ callerId: "nobody" }))).toEqual(notFound);
});

describe("finding users", () => {
  const password = "password123";
  async function found(query: string, pageSize = 0): Promise<string[]> {
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = await im.user.listUsers({ callerId, query, pageSize, pageToken });
      names.push(...page.users.map(({ username }) => username));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return names;
  }

  it("goes by any part of the username or the nickname, without case, and takes no wildcards", async () => {
    await im.auth.register({ username: "Zoe_1", password, nickname: "Ärger 100%" });
    await im.auth.register({ username: "yannik", password, nickname: "x" });
    const cases: [query: string, usernames: string[]][] = [
      ["ZOE", ["Zoe_1"]],
      ["e_1", ["Zoe_1"]],
      ["ÄRGER", ["Zoe_1"]],
      ["a\u0308rger", ["Zoe_1"]],
      ["0%", ["Zoe_1"]],
      ["Z%1", []],
      ["Y_n", []],
      ["n", ["yannik"]],
    ];
    for (const [query, usernames] of cases) {
      expect([query, (await found(query)).filter((name) => !name.startsWith("guest-"))]).toEqual([query, usernames]);
    }
  });

  it("answers pages by username, each user once", async () => {
    await Promise.all(["5", "3", "1", "4", "2"].map((username) => im.person(`Searched ${username}`)));
    const names = await found("searched", 2);
    expect(names).toHaveLength(5);
    expect(names).toEqual([...new Set(names)].sort());
    expect(await found("searched", 5)).toEqual(names);
  });

  it.each([
    [{}, "query"],
    [{ query: "x".repeat(65) }, "query"],
    [{ query: "x", pageSize: 101 }, "page_size"],
    [{ query: "x", pageToken: "made up" }, "page_token"],
  ])("refuses %j", async (request, field) => {
    const call = im.user.listUsers({ callerId, ...request });
    expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
  });
});

describe("presence", () => {
  type Told = readonly [online: boolean, lastSeen: number];
  let bob: string;
  beforeEach(async () => {
    bob = await im.person("Bob");
  });

  async function tell(
    event: "connected" | "disconnected",
    connectionId: string,
    seq: number,
    part = {},
  ): Promise<void> {
    const timestamp = BigInt(Math.floor(nowMs / 1000));
    const place = { userId: bob, gatewayId: "g1", gatewayEpoch: 1n, connectionId, seq: BigInt(seq), timestamp };
    await im.sendUserEvents({ event, ...place, ...part });
    await im.settled();
  }

  async function seen(asking: string = callerId): Promise<Told> {
    const { presences } = await im.user.listPresences({ callerId: asking, userIds: [bob] });
    return [presences[0]?.online ?? false, Number(presences[0]?.lastSeen)];
  }

  it("is online from the first connection to the end of the last", async () => {
    await im.groupOf(callerId, bob);
    expect(await seen()).toEqual([false, 0]);
    await tell("connected", "b1", 1);
    await tell("connected", "b2", 1, { gatewayId: "g2" });
    expect(await seen()).toEqual([true, 0]);
    await tell("disconnected", "b1", 2);
    expect(await seen()).toEqual([true, 0]);
    nowMs += 5000;
    await tell("disconnected", "b2", 2, { gatewayId: "g2" });
    const first = nowMs / 1000;
    nowMs += 2999;
    // As long as nobody is told that the user is gone.
    expect(await seen()).toEqual([true, first]);
    nowMs += 1;
    expect(await seen()).toEqual([false, first]);
    await tell("connected", "b3", 3);
    expect(await seen()).toEqual([true, first]);
    nowMs += 5000;
    // Its gateway has died and lives again: all of its connections are over.
    await tell("connected", "a1", 1, { userId: callerId, gatewayEpoch: 2n });
    const second = nowMs / 1000;
    nowMs += 9999;
    // Its process may be the same, and tell of them anew.
    expect(await seen()).toEqual([true, second]);
    nowMs += 1;
    expect(await seen()).toEqual([false, second]);
  });

  it("is told to oneself, friends, and people of the same conversation only", async () => {
    await tell("connected", "b1", 1);
    await tell("disconnected", "b1", 2);
    await tell("connected", "b2", 3);
    const [friend, peer, member] = [await im.person("Friend"), await im.person("Peer"), await im.person("Member")];
    const { requestId } = await im.friend.createFriendRequest({ callerId: friend, userId: bob });
    expect(await seen(friend)).toEqual([false, 0]);
    await im.friend.acceptFriendRequest({ callerId: bob, requestId });
    const request = { callerId: peer, type: ConversationType.DIRECT, memberIds: [bob] };
    await im.conversation.createConversation(request);
    const groupId = await im.groupOf(member, bob);
    for (const asking of [bob, friend, peer, member]) {
      expect(await seen(asking)).toEqual([true, nowMs / 1000]);
    }
    expect(await seen(callerId)).toEqual([false, 0]);
    await im.friend.deleteFriend({ callerId: friend, userId: bob });
    await im.group.deleteMember({ callerId: bob, groupId, userId: "me" });
    await im.friend.blockFriend({ callerId: bob, userId: peer });
    expect(await seen(peer)).toEqual([false, 0]);
    expect([await seen(friend), await seen(member)]).toEqual([
      [false, 0],
      [false, 0],
    ]);
  });

  it("is answered in the order asked for, of nobody too", async () => {
    const userIds = [bob, "nobody", callerId, bob];
    const { presences } = await im.user.listPresences({ callerId, userIds });
    expect(presences.map(({ userId }) => userId)).toEqual(userIds);
  });

  it.each([[[]], [Array.from({ length: 101 }, () => "x")]])("refuses too few and too many", async (userIds) => {
    const call = im.user.listPresences({ callerId, userIds });
    expect(await failureOf(call)).toMatchObject({ code: Code.InvalidArgument, fields: ["user_ids"] });
  });
});

it("wants a caller, on every method that is not public", async () => {
  const calls = [
    im.user.getMe({}),
    im.user.updateMe({}),
    im.user.getUser({ userId: callerId }),
    im.user.listUsers({}),
    im.user.listPresences({}),
    im.conversation.createConversation({}),
    im.conversation.listConversations({}),
    im.conversation.getConversation({}),
    im.conversation.updateConversation({}),
    im.conversation.deleteConversation({}),
    im.conversation.markRead({}),
    im.conversation.getUnread({}),
    im.conversation.listMembers({}),
    im.conversation.sync({}),
    im.message.listMessages({}),
    im.message.deleteMessage({}),
    im.message.exportMessages({})[Symbol.asyncIterator]().next(),
    im.message.search({}),
    im.group.createGroup({}),
    im.group.getGroup({}),
    im.group.updateGroup({}),
    im.group.deleteGroup({}),
    im.group.listMembers({}),
    im.group.createMembers({}),
    im.group.deleteMember({}),
    im.group.deleteMember({ userId: "me" }),
    im.group.updateMemberRole({}),
    im.group.joinGroup({}),
    im.group.transferGroup({}),
    im.friend.listFriends({}),
    im.friend.deleteFriend({}),
    im.friend.blockFriend({}),
    im.friend.unblockFriend({}),
    im.friend.listFriendRequests({}),
    im.friend.createFriendRequest({}),
    im.friend.acceptFriendRequest({}),
    im.friend.rejectFriendRequest({}),
  ];
  for (const call of calls) {
    expect(await failureOf(call)).toEqual({ code: Code.Unauthenticated, reason: "UNAUTHENTICATED", fields: [] });
  }
});
