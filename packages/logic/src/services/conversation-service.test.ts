import { toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  ConversationType,
  ListMessagesResponseSchema,
  type Message,
  MessageType,
  Role,
  SearchResponseSchema,
  type SyncResponse,
  SyncResponseSchema,
} from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

const conversationNotFound = { code: Code.NotFound, reason: "CONVERSATION_NOT_FOUND", fields: [] };

let nowMs: number;
let im: TestLogic;
let ada: string;
let bob: string;
let eve: string;
let sent: number;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  sent = 0;
  im = await startLogic({ now: () => nowMs });
  [ada, bob, eve] = [await im.person("Ada"), await im.person("Bob"), await im.person("Eve")];
});
afterEach(() => im.stop());

async function direct(callerId: string, peerId: string): Promise<string> {
  const request = { callerId, type: ConversationType.DIRECT, memberIds: [peerId] };
  return (await im.conversation.createConversation(request)).conversationId;
}

async function say(userId: string, conversationId: string, content = "hello"): Promise<void> {
  sent += 1;
  const clientMsgId = `c${sent}`;
  await im.sendUpstream({ userId, conversationId, content, clientMsgId, messageType: MessageType.TEXT });
  await im.settled();
}

async function listed(callerId: string): Promise<string[]> {
  const { conversations } = await im.conversation.listConversations({ callerId });
  return conversations.map(({ conversationId }) => conversationId);
}

describe("a direct conversation", () => {
  it("is seen by each as the other one's", async () => {
    await im.user.updateMe({ callerId: bob, avatarUrl: "https://example.org/bob.png" });
    const conversationId = await direct(ada, bob);
    const seen = await im.conversation.getConversation({ callerId: ada, conversationId });
    expect(seen).toMatchObject({
      conversationId,
      type: ConversationType.DIRECT,
      name: "Bob",
      avatarUrl: "https://example.org/bob.png",
      ownerId: "",
      memberCount: 2,
      peerId: bob,
      lastSeqId: 0n,
      readSeqId: 0n,
      unreadCount: 0n,
      updatedAt: BigInt(nowMs / 1000),
    });
    expect(seen.lastMessage).toBeUndefined();
    expect(await im.conversation.getConversation({ callerId: bob, conversationId })).toMatchObject({
      name: "Ada",
      peerId: ada,
    });
  });

  it("exists once, whoever asks for it", async () => {
    const conversationId = await direct(ada, bob);
    expect(await direct(ada, bob)).toBe(conversationId);
    expect(await direct(bob, ada)).toBe(conversationId);
    expect(await direct(ada, eve)).not.toBe(conversationId);
    const withSelf = { callerId: ada, type: ConversationType.DIRECT, memberIds: [ada, bob, bob] };
    expect(await im.conversation.createConversation(withSelf)).toMatchObject({ conversationId });
  });

  it("has no name or picture of its own", async () => {
    const conversationId = await direct(ada, bob);
    const call = im.conversation.updateConversation({ callerId: ada, conversationId, name: "x" });
    expect(await failureOf(call)).toEqual({ code: Code.FailedPrecondition, reason: "NOT_A_GROUP", fields: [] });
  });
});

describe("creating", () => {
  it("takes a group too, the caller as its owner", async () => {
    const request = { callerId: ada, type: ConversationType.GROUP, memberIds: [bob, eve, bob], name: "three" };
    const group = await im.conversation.createConversation(request);
    expect(group).toMatchObject({ type: ConversationType.GROUP, name: "three", ownerId: ada, memberCount: 3 });
    expect(group.peerId).toBeUndefined();
  });

  it("refuses what is no conversation, naming the field", async () => {
    const { DIRECT, GROUP, UNSPECIFIED } = ConversationType;
    const cases = [
      { request: { type: UNSPECIFIED, memberIds: [bob] }, fields: ["type"] },
      { request: { type: DIRECT, memberIds: [] }, fields: ["member_ids"] },
      { request: { type: DIRECT, memberIds: [ada] }, fields: ["member_ids"] },
      { request: { type: DIRECT, memberIds: [bob, eve] }, fields: ["member_ids"] },
      { request: { type: GROUP, memberIds: [bob], name: "x".repeat(101) }, fields: ["name"] },
      { request: {}, fields: ["type", "member_ids"] },
    ];
    for (const { request, fields } of cases) {
      const call = im.conversation.createConversation({ callerId: ada, ...request });
      expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields });
    }
  });

  it("wants members that exist, naming those that do not", async () => {
    const request = { callerId: ada, type: ConversationType.GROUP, memberIds: [bob, "nobody", eve, "none"] };
    expect(await failureOf(im.conversation.createConversation(request))).toEqual({
      code: Code.NotFound,
      reason: "USER_NOT_FOUND",
      fields: ["member_ids[1]", "member_ids[3]"],
    });
    const stranger = { callerId: "nobody", type: ConversationType.DIRECT, memberIds: [bob] };
    const failed = await failureOf(im.conversation.createConversation(stranger));
    expect(failed).toEqual({ code: Code.NotFound, reason: "USER_NOT_FOUND", fields: [] });
  });

  it("tells the members", async () => {
    await im.sendUserEvents({ event: "connected", userId: bob, gatewayId: "g1", connectionId: "b", seq: 1n });
    await im.settled();
    const conversationId = await direct(ada, bob);
    await direct(ada, bob);
    await im.settled();
    expect(im.received.map(({ record: { type, data } }) => ({ type, data }))).toEqual([
      { type: "conversation-updated", data: { conversation_id: conversationId, change: "created" } },
    ]);
  });
});

it("tells a stranger nothing", async () => {
  const conversationId = await direct(ada, bob);
  for (const request of [
    { callerId: eve, conversationId },
    { callerId: ada, conversationId: "none" },
  ]) {
    const calls = [
      im.conversation.getConversation(request),
      im.conversation.updateConversation(request),
      im.conversation.deleteConversation(request),
      im.conversation.markRead({ ...request, seqId: 1n }),
      im.conversation.getUnread(request),
      im.conversation.listMembers(request),
      im.message.listMessages(request),
    ];
    for (const call of calls) {
      expect(await failureOf(call)).toEqual(conversationNotFound);
    }
  }
});

it("lists members in the order in which they joined", async () => {
  const conversationId = await im.groupOf(ada, eve, bob);
  const { members } = await im.conversation.listMembers({ callerId: bob, conversationId });
  expect(members).toMatchObject([
    { userId: ada, role: Role.OWNER, nickname: "Ada", joinedAt: BigInt(nowMs / 1000) },
    { userId: eve, role: Role.MEMBER, nickname: "Eve" },
    { userId: bob, role: Role.MEMBER, nickname: "Bob" },
  ]);
});

describe("the list", () => {
  it("has the most recently changed first, page by page", async () => {
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      ids.push(await im.groupOf(ada));
    }
    await say(ada, ids[1] ?? "");
    const expected = [1, 4, 3, 2, 0].map((index) => ids[index]);
    const seen: string[] = [];
    let pageToken = "";
    let pages = 0;
    do {
      const page = await im.conversation.listConversations({ callerId: ada, pageSize: 2, pageToken });
      seen.push(...page.conversations.map(({ conversationId }) => conversationId));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== "");
    expect({ seen, pages }).toEqual({ seen: expected, pages: 3 });
    expect(await listed(bob)).toEqual([]);
  });

  it("has 20 on a page by default, 100 at most", async () => {
    for (let count = 0; count < 21; count += 1) {
      await im.groupOf(ada);
    }
    expect(await listed(ada)).toHaveLength(20);
    const whole = await im.conversation.listConversations({ callerId: ada, pageSize: 21 });
    expect(whole.conversations).toHaveLength(21);
    expect(whole.nextPageToken).toBe("");
  });

  it.each([
    [{ pageSize: -1 }, "page_size"],
    [{ pageSize: 101 }, "page_size"],
    [{ pageToken: "none of ours" }, "page_token"],
    [{ pageToken: "MTIz" }, "page_token"],
  ])("refuses %j", async (request, field) => {
    const call = im.conversation.listConversations({ callerId: ada, ...request });
    expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
  });

  it("leaves out what was hidden until there is a newer message", async () => {
    const conversationId = await direct(ada, bob);
    await say(bob, conversationId);
    await im.conversation.deleteConversation({ callerId: ada, conversationId });
    expect(await listed(ada)).toEqual([]);
    expect(await listed(bob)).toEqual([conversationId]);
    expect(await im.conversation.getConversation({ callerId: ada, conversationId })).toMatchObject({ lastSeqId: 1n });
    await say(bob, conversationId);
    expect(await listed(ada)).toEqual([conversationId]);
  });

  it("has a hidden direct conversation again once it is opened", async () => {
    const conversationId = await direct(ada, bob);
    await im.conversation.deleteConversation({ callerId: ada, conversationId });
    expect(await listed(ada)).toEqual([]);
    await direct(ada, bob);
    expect(await listed(ada)).toEqual([conversationId]);
  });
});

describe("reading", () => {
  it("counts what others said since; sending reads", async () => {
    const conversationId = await direct(ada, bob);
    await say(ada, conversationId, "one");
    await say(ada, conversationId, "two");
    expect(await im.conversation.getUnread({ callerId: ada, conversationId })).toMatchObject({ unreadCount: 0n });
    expect(await im.conversation.getUnread({ callerId: bob, conversationId })).toMatchObject({ unreadCount: 2n });
    nowMs += 5000;
    await say(bob, conversationId, "three");
    expect(await im.conversation.getConversation({ callerId: bob, conversationId })).toMatchObject({
      lastMessage: { content: "three", senderId: bob, seqId: 3n },
      lastSeqId: 3n,
      readSeqId: 3n,
      unreadCount: 0n,
      updatedAt: BigInt(nowMs / 1000),
    });
    expect(await im.conversation.getConversation({ callerId: ada, conversationId })).toMatchObject({
      readSeqId: 2n,
      unreadCount: 1n,
    });
  });

  it("goes forward only, and not past the end", async () => {
    const conversationId = await direct(ada, bob);
    await say(ada, conversationId);
    await say(ada, conversationId);
    await say(ada, conversationId);
    for (const [seqId, unreadCount] of [
      [2n, 1n],
      [1n, 1n],
      [2n ** 62n, 0n],
      [1n, 0n],
    ] as const) {
      expect(await im.conversation.markRead({ callerId: bob, conversationId, seqId })).toMatchObject({ unreadCount });
    }
    expect(await im.conversation.getConversation({ callerId: bob, conversationId })).toMatchObject({ readSeqId: 3n });
    const nothing = im.conversation.markRead({ callerId: bob, conversationId, seqId: 0n });
    expect(await failureOf(nothing)).toMatchObject({ code: Code.InvalidArgument, fields: ["seq_id"] });
  });

  it("tells all members once, the reader's other devices among them", async () => {
    const conversationId = await direct(ada, bob);
    await say(ada, conversationId);
    await im.sendUserEvents(
      { event: "connected", userId: ada, gatewayId: "g1", connectionId: "a", seq: 1n },
      { event: "connected", userId: bob, gatewayId: "g2", connectionId: "b", seq: 1n },
    );
    await im.settled();
    const before = im.received.length;
    await im.conversation.markRead({ callerId: bob, conversationId, seqId: 1n });
    await im.conversation.markRead({ callerId: bob, conversationId, seqId: 1n });
    await im.settled();
    const data = { conversation_id: conversationId, user_id: bob, seq_id: 1 };
    const told = im.received.slice(before);
    expect(told).toHaveLength(2);
    expect(told.toSorted((a, b) => a.gatewayId.localeCompare(b.gatewayId))).toMatchObject([
      { gatewayId: "g1", key: conversationId, record: { type: "message-read", data, targetUserIds: [ada] } },
      { gatewayId: "g2", key: conversationId, record: { type: "message-read", data, targetUserIds: [bob] } },
    ]);
  });
});

describe("sync", () => {
  const places = (messages: readonly Message[]): [string, number][] =>
    messages.map(({ conversationId, seqId }) => [conversationId, Number(seqId)]);

  /** Asks until nothing is left, as a client does. @returns all that came, and how many answers it took */
  async function syncAll(
    callerId: string,
    cursors: Record<string, bigint>,
    pageSize: number,
  ): Promise<[messages: Message[], answers: number]> {
    const messages: Message[] = [];
    for (let answers = 1; answers <= 20; answers += 1) {
      const answer = await im.conversation.sync({ callerId, cursors, pageSize });
      expect(answer.messages.length).toBeLessThanOrEqual(pageSize);
      for (const { conversationId, seqId } of answer.messages) {
        expect(seqId).toBe((cursors[conversationId] ?? 0n) + 1n);
        cursors[conversationId] = seqId;
      }
      messages.push(...answer.messages);
      if (answer.complete) {
        return [messages, answers];
      }
    }
    throw new Error("it never came to an end");
  }

  it("has what every conversation has beyond its cursor, and no more", async () => {
    const [old, group] = [await direct(ada, bob), await im.groupOf(ada, eve)];
    const [empty, foreign] = [await im.groupOf(bob), await im.groupOf(eve)];
    for (const conversationId of [old, old, group, group, group]) {
      await say(ada, conversationId);
    }
    await say(eve, foreign);
    const ask = (cursors: Record<string, bigint>): Promise<SyncResponse> =>
      im.conversation.sync({ callerId: ada, cursors });
    const fresh = await ask({});
    expect(places(fresh.messages)).toEqual([
      [group, 1],
      [group, 2],
      [group, 3],
      [old, 1],
      [old, 2],
    ]);
    expect(fresh).toMatchObject({
      complete: true,
      conversations: [
        { conversationId: group, lastSeqId: 3n, memberCount: 2 },
        { conversationId: old, lastSeqId: 2n, name: "Bob" },
      ],
    });
    const later = await ask({ [group]: 2n, [old]: 2n, [foreign]: 0n, [empty]: 0n, nothing: 5n, "": 1n });
    expect(places(later.messages)).toEqual([[group, 3]]);
    expect(later.conversations.map(({ conversationId }) => conversationId)).toEqual([group]);
    expect(later.complete).toBe(true);
    expect(await ask({ [group]: 3n, [old]: 2n ** 62n })).toMatchObject({
      messages: [],
      conversations: [],
      complete: true,
    });
  });

  it("comes to an end, whatever the size of the answers", async () => {
    const conversationIds = [await direct(ada, bob), await im.groupOf(ada), await im.groupOf(ada, eve)];
    for (const conversationId of conversationIds) {
      for (let count = 0; count < 4; count += 1) {
        await say(ada, conversationId);
      }
    }
    const answers: Record<number, number> = {};
    for (const pageSize of [1, 3, 4, 5, 11, 12, 100]) {
      const [messages, count] = await syncAll(ada, { foreign: 7n }, pageSize);
      expect(new Set(places(messages).map(String)).size).toBe(12);
      answers[pageSize] = count;
    }
    expect(answers).toEqual({ 1: 12, 3: 4, 4: 3, 5: 3, 11: 2, 12: 1, 100: 1 });
  });

  it("names a conversation that was asked for and found no room", async () => {
    const [named, unnamed, newest] = [await im.groupOf(ada), await im.groupOf(ada), await im.groupOf(ada)];
    for (const conversationId of [named, unnamed, newest]) {
      await say(ada, conversationId);
    }
    const answer = await im.conversation.sync({ callerId: ada, cursors: { [named]: 0n }, pageSize: 1 });
    expect(places(answer.messages)).toEqual([[newest, 1]]);
    expect(answer.conversations.map(({ conversationId }) => conversationId)).toEqual([newest, named]);
    expect(answer.complete).toBe(false);
  });

  it("stays below what gRPC clients take, and so do pages of history and of a search", async () => {
    const [large, small] = [await direct(ada, bob), await im.groupOf(ada)];
    const content = "x".repeat(60 * 1024);
    for (let count = 0; count < 100; count += 1) {
      const message = { userId: ada, conversationId: large, content, messageType: MessageType.TEXT };
      await im.sendUpstream({ ...message, clientMsgId: `large ${count}` });
    }
    await say(ada, small);
    await im.settled();
    const maxBytes = 4 * 1024 * 1024;
    const first = await im.conversation.sync({ callerId: ada });
    const [, answers] = await syncAll(ada, {}, 100);
    const page = await im.message.listMessages({ callerId: ada, conversationId: large, pageSize: 100 });
    const found = await im.message.search({ callerId: ada, query: "xx", pageSize: 100 });
    expect(toBinary(SyncResponseSchema, first).length).toBeLessThan(maxBytes);
    expect(answers).toBeLessThan(10);
    expect(toBinary(ListMessagesResponseSchema, page).length).toBeLessThan(maxBytes);
    expect(page.hasMore).toBe(true);
    expect(page.messages.at(-1)?.seqId).toBe(100n);
    expect(toBinary(SearchResponseSchema, found).length).toBeLessThan(maxBytes);
    expect(found.nextPageToken).not.toBe("");
  });

  it("has 100 messages in an answer by default", async () => {
    const conversationId = await im.groupOf(ada);
    for (let count = 0; count < 101; count += 1) {
      const message = { userId: ada, conversationId, content: "x", messageType: MessageType.TEXT };
      await im.sendUpstream({ ...message, clientMsgId: `many ${count}` });
    }
    await im.settled();
    const answer = await im.conversation.sync({ callerId: ada });
    expect([answer.messages.length, answer.complete]).toEqual([100, false]);
  });

  it.each([
    [{ cursors: { a: 1n, b: -1n } }, "cursors.b"],
    [{ pageSize: 101 }, "page_size"],
    [{ pageSize: -1 }, "page_size"],
  ])("refuses %o", async (request, field) => {
    const call = im.conversation.sync({ callerId: ada, ...request });
    expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
  });
});
