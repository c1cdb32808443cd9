import { Code } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ConversationType, type ListMessagesRequest, type Message, MessageType, Role } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, servicesOf, startLogic, type TestLogic } from "../../test/start-logic.ts";
import { createGrpcServer } from "../grpc-server.ts";

let im: TestLogic;
let callerId: string;
let conversationId: string;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  im = await startLogic({ now: () => nowMs });
  callerId = await im.person("Ada");
  conversationId = await im.groupOf(callerId);
});
afterEach(() => im.stop());

async function say(count: number): Promise<void> {
  const message = { userId: callerId, conversationId, messageType: MessageType.TEXT, timestamp: 1634567890n };
  for (let number = 1; number <= count; number += 1) {
    await im.sendUpstream({ ...message, content: `message ${number}`, clientMsgId: `c${number}` });
  }
  await im.settled();
}

it("shows a message as it was sent", async () => {
  await say(1);
  const { messages } = await im.message.listMessages({ callerId, conversationId });
  expect(messages).toMatchObject([
    {
      messageId: expect.stringMatching(/./),
      conversationId,
      senderId: callerId,
      messageType: MessageType.TEXT,
      content: "message 1",
      seqId: 1n,
      timestamp: 1634567890n,
      clientMsgId: "c1",
    },
  ]);
});

const before = (value: bigint): ListMessagesRequest["cursor"] => ({ case: "beforeSeqId", value });
const after = (value: bigint): ListMessagesRequest["cursor"] => ({ case: "afterSeqId", value });
const none: ListMessagesRequest["cursor"] = { case: undefined };

it("answers pages in ascending order, from either side", async () => {
  await say(7);
  const cases: [cursor: ListMessagesRequest["cursor"], pageSize: number, seqIds: bigint[], hasMore: boolean][] = [
    [none, 3, [5n, 6n, 7n], true],
    [none, 7, [1n, 2n, 3n, 4n, 5n, 6n, 7n], false],
    [none, 0, [1n, 2n, 3n, 4n, 5n, 6n, 7n], false],
    [before(5n), 3, [2n, 3n, 4n], true],
    [before(5n), 4, [1n, 2n, 3n, 4n], false],
    [before(1n), 3, [], false],
    [before(0n), 3, [], false],
    [before(2n ** 62n), 2, [6n, 7n], true],
    [after(0n), 3, [1n, 2n, 3n], true],
    [after(4n), 3, [5n, 6n, 7n], false],
    [after(7n), 3, [], false],
    [after(2n ** 62n), 3, [], false],
  ];
  for (const [cursor, pageSize, seqIds, hasMore] of cases) {
    const page = await im.message.listMessages({ callerId, conversationId, cursor, pageSize });
    expect({ cursor, seqIds: page.messages.map(({ seqId }) => seqId), hasMore: page.hasMore }).toEqual({
      cursor,
      seqIds,
      hasMore,
    });
  }
});

it("has 20 on a page by default", async () => {
  await say(21);
  const page = await im.message.listMessages({ callerId, conversationId });
  expect(page).toMatchObject({ hasMore: true });
  expect(page.messages.map(({ seqId }) => seqId)).toEqual(Array.from({ length: 20 }, (_, index) => BigInt(index + 2)));
});

it.each([
  [{ pageSize: 101 }, "page_size"],
  [{ pageSize: -1 }, "page_size"],
  [{ cursor: before(-1n) }, "before_seq_id"],
  [{ cursor: after(-1n) }, "after_seq_id"],
])("refuses %o", async (request, field) => {
  const call = im.message.listMessages({ callerId, conversationId, ...request });
  expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
});

it("leaves sending to the gateway", async () => {
  expect(await failureOf(im.message.sendMessage({}))).toMatchObject({ code: Code.Unimplemented });
});

interface Sent {
  readonly userId?: string;
  readonly to?: string;
  readonly messageType?: MessageType;
  readonly timestamp?: bigint;
}

/** One message, now. */
async function sayOne(content: string, sent: Sent = {}): Promise<Message> {
  const { userId = callerId, to = conversationId, messageType = MessageType.TEXT, timestamp = 0n } = sent;
  const clientMsgId = `${content} in ${to}`;
  await im.sendUpstream({ userId, conversationId: to, messageType, content, clientMsgId, timestamp });
  await im.settled();
  const { messages } = await im.message.listMessages({ callerId: userId, conversationId: to, pageSize: 1 });
  const [message] = messages;
  if (message?.clientMsgId !== clientMsgId) {
    throw new Error("the message was not stored");
  }
  return message;
}

describe("recall", () => {
  let admin: string;
  let member: string;
  let stranger: string;
  beforeEach(async () => {
    [admin, member, stranger] = [await im.person("Admin"), await im.person("Member"), await im.person("Stranger")];
    await im.group.createMembers({ callerId, groupId: conversationId, userIds: [admin, member] });
    await im.group.updateMemberRole({ callerId, groupId: conversationId, userId: admin, role: Role.ADMIN });
  });

  const recall = (by: string, { messageId }: { messageId: string }, from = conversationId): Promise<unknown> =>
    im.message.deleteMessage({ callerId: by, conversationId: from, messageId });

  it("empties the message and leaves it its place", async () => {
    await sayOne("first");
    const message = await sayOne("second", { userId: member });
    await recall(member, message);
    const { messages } = await im.message.listMessages({ callerId, conversationId });
    expect(messages).toMatchObject([
      { content: "first", messageType: MessageType.TEXT, seqId: 1n },
      { ...message, content: "", messageType: MessageType.SYSTEM },
    ]);
    expect(await im.conversation.getConversation({ callerId, conversationId })).toMatchObject({
      lastSeqId: 2n,
      lastMessage: { messageId: message.messageId, content: "", messageType: MessageType.SYSTEM },
    });
    expect((await im.conversation.sync({ callerId })).messages[1]).toMatchObject({ content: "", seqId: 2n });
  });

  it("is told to all connections of all members, once", async () => {
    await im.sendUserEvents(
      { event: "connected", userId: member, gatewayId: "g1", connectionId: "m", seq: 1n },
      { event: "connected", userId: callerId, gatewayId: "g2", connectionId: "o", seq: 1n },
      { event: "connected", userId: stranger, gatewayId: "g2", connectionId: "s", seq: 2n },
    );
    const message = await sayOne("oops", { userId: member });
    const before = im.received.length;
    await recall(member, message);
    await recall(member, message);
    nowMs += 121_000;
    await recall(member, message);
    await im.settled();
    const data = { conversation_id: conversationId, message_id: message.messageId, seq_id: 1 };
    const record = { type: "message-recalled", data, conversationId };
    expect(im.received.slice(before).sort((a, b) => (a.gatewayId < b.gatewayId ? -1 : 1))).toMatchObject([
      { gatewayId: "g1", key: conversationId, record: { ...record, targetUserIds: [member] } },
      { gatewayId: "g2", key: conversationId, record: { ...record, targetUserIds: [callerId] } },
    ]);
  });

  const notAllowed = { code: Code.PermissionDenied, reason: "NOT_ALLOWED" };
  const tooLate = { code: Code.FailedPrecondition, reason: "RECALL_TOO_LATE" };
  const noConversation = { code: Code.NotFound, reason: "CONVERSATION_NOT_FOUND" };
  it.each<[who: string, ageSeconds: number, refused: { code: Code; reason: string } | undefined]>([
    ["the sender", 0, undefined],
    ["the sender", 120, undefined],
    ["the sender", 121, tooLate],
    ["an admin", 0, undefined],
    ["an admin", 100_000, undefined],
    ["the owner", 100_000, undefined],
    ["another member", 0, notAllowed],
    ["another member", 121, notAllowed],
    ["a stranger", 0, noConversation],
  ])("by %s after %i seconds", async (who, ageSeconds, refused) => {
    const another = await im.person("Another");
    await im.group.joinGroup({ callerId: another, groupId: conversationId });
    const message = await sayOne("hello", { userId: member });
    nowMs += ageSeconds * 1000;
    const by = { "the sender": member, "an admin": admin, "the owner": callerId, "another member": another }[who];
    const call = recall(by ?? stranger, message);
    if (refused === undefined) {
      await call;
    } else {
      expect(await failureOf(call)).toMatchObject(refused);
    }
    const { messages } = await im.message.listMessages({ callerId, conversationId });
    expect(messages[0]?.content).toBe(refused === undefined ? "" : "hello");
  });

  it("gives no rights over the other one of a direct conversation", async () => {
    const request = { callerId, type: ConversationType.DIRECT, memberIds: [member] };
    const to = (await im.conversation.createConversation(request)).conversationId;
    const message = await sayOne("mine", { userId: member, to });
    expect(await failureOf(recall(callerId, message, to))).toMatchObject(notAllowed);
  });

  it("finds a message in its own conversation only", async () => {
    const to = await im.groupOf(callerId);
    const message = await sayOne("elsewhere", { to });
    for (const named of [message, { messageId: "none" }]) {
      expect(await failureOf(recall(callerId, named))).toMatchObject({
        code: Code.NotFound,
        reason: "MESSAGE_NOT_FOUND",
      });
    }
    expect(await failureOf(recall(callerId, { messageId: "" }))).toMatchObject({ fields: ["message_id"] });
  });

  it("is not undone when the record comes again", async () => {
    const sent = { userId: callerId, conversationId, content: "once", clientMsgId: "c", messageType: MessageType.TEXT };
    const origin = { gatewayId: "g1", connectionId: "o" };
    await im.sendUpstream({ ...sent, ...origin });
    await im.settled();
    const { messages } = await im.message.listMessages({ callerId, conversationId });
    await recall(callerId, messages[0] ?? { messageId: "" });
    await im.sendUpstream({ ...sent, ...origin });
    await im.settled();
    expect(im.received.map(({ record }) => [record.type, record.data?.seq_id])).toEqual([
      ["message-stored", 1],
      ["message-stored", 1],
    ]);
    const after = await im.message.listMessages({ callerId, conversationId });
    expect(after.messages.map(({ content }) => content)).toEqual([""]);
  });
});

describe("export", () => {
  async function exported(afterSeqId = 0n): Promise<number[]> {
    const seqIds: number[] = [];
    for await (const { seqId } of im.message.exportMessages({ callerId, conversationId, afterSeqId })) {
      seqIds.push(Number(seqId));
    }
    return seqIds;
  }

  it("streams everything above the given place, ascending", async () => {
    expect(await exported()).toEqual([]);
    await say(201);
    expect(await exported()).toEqual(Array.from({ length: 201 }, (_, index) => index + 1));
    expect(await exported(100n)).toEqual(Array.from({ length: 101 }, (_, index) => index + 101));
    expect(await exported(201n)).toEqual([]);
  });

  it("is for members, and for a place that there can be", async () => {
    const first = (request: { callerId: string; afterSeqId?: bigint }): Promise<unknown> =>
      im.message
        .exportMessages({ conversationId, ...request })
        [Symbol.asyncIterator]()
        .next();
    const stranger = await im.person("Stranger");
    expect(await failureOf(first({ callerId: stranger }))).toMatchObject({ reason: "CONVERSATION_NOT_FOUND" });
    expect(await failureOf(first({ callerId, afterSeqId: -1n }))).toMatchObject({ fields: ["after_seq_id"] });
  });

  it("ends for who is put out meanwhile, with the rest unread", async () => {
    const member = await im.person("Member");
    await im.group.joinGroup({ callerId: member, groupId: conversationId });
    await say(150);
    const messages = im.message.exportMessages({ callerId: member, conversationId })[Symbol.asyncIterator]();
    await messages.next();
    await im.group.deleteMember({ callerId, groupId: conversationId, userId: member });
    const rest = async (): Promise<void> => {
      while ((await messages.next()).done !== true) {}
    };
    expect(await failureOf(rest())).toMatchObject({ reason: "CONVERSATION_NOT_FOUND" });
  });

  it("goes over gRPC, and no further than a caller who has gone", async () => {
    await say(150);
    const server = await createGrpcServer({
      routes: im.logic.routes,
      addr: { host: "127.0.0.1", port: 0 },
      log: () => {},
    });
    try {
      const { message } = servicesOf(createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.address.port}` }));
      const seqIds: bigint[] = [];
      for await (const { seqId } of message.exportMessages({ callerId, conversationId })) {
        seqIds.push(seqId);
      }
      expect(seqIds).toHaveLength(150);
      const leaving = new AbortController();
      const { signal } = leaving;
      const received = async (): Promise<void> => {
        for await (const _ of message.exportMessages({ callerId, conversationId }, { signal })) {
          leaving.abort();
        }
      };
      expect(await failureOf(received())).toMatchObject({ code: Code.Canceled });
    } finally {
      // It needs no deadline: no stream is left open.
      await server.close(600_000);
    }
  });

  it("says nothing of a fault of its own but to the log", async () => {
    const other = await startLogic();
    const ada = await other.person("Ada");
    const groupId = await other.groupOf(ada);
    const messages = other.message.exportMessages({ callerId: ada, conversationId: groupId });
    await other.stop();
    await expect(messages[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: Code.Internal,
      rawMessage: "internal error",
    });
    expect(other.logLines.filter(({ level }) => level === "error")).toMatchObject([
      { fields: { method: "im.logic.v1.MessageService/ExportMessages" } },
    ]);
  });
});

describe("search", () => {
  async function found(query: string, in_ = "", pageSize = 0): Promise<string[]> {
    const contents: string[] = [];
    let pageToken = "";
    do {
      const page = await im.message.search({ callerId, query, conversationId: in_, pageSize, pageToken });
      expect(page.messages.length).toBeLessThanOrEqual(pageSize || 20);
      contents.push(...page.messages.map(({ content }) => content));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return contents;
  }

  it("finds any part of a text, without case, and takes no wildcards", async () => {
    for (const content of ["100% sure", "a_b", "Ärger im Büro", "C:\\temp"]) {
      await sayOne(content);
    }
    const cases: [query: string, contents: string[]][] = [
      ["SURE", ["100% sure"]],
      ["0%", ["100% sure"]],
      ["1%e", []],
      ["A_B", ["a_b"]],
      ["a_g", []],
      ["ÄRGER", ["Ärger im Büro"]],
      ["\\T", ["C:\\temp"]],
      ["'", []],
      ["nowhere", []],
    ];
    for (const [query, contents] of cases) {
      expect([query, await found(query)]).toEqual([query, contents]);
    }
  });

  it("finds texts of one's own conversations that were not recalled", async () => {
    const stranger = await im.person("Stranger");
    const [own, foreign] = [await im.groupOf(callerId), await im.groupOf(stranger)];
    await sayOne("needle here");
    await sayOne("needle there", { to: own });
    await sayOne("needle not mine", { userId: stranger, to: foreign });
    await sayOne("needle.png", { messageType: MessageType.IMAGE });
    const { messageId } = await sayOne("needle recalled");
    await im.message.deleteMessage({ callerId, conversationId, messageId });
    expect((await found("needle")).sort()).toEqual(["needle here", "needle there"]);
    expect(await found("needle", own)).toEqual(["needle there"]);
    for (const strange of [foreign, "nothing"]) {
      const call = im.message.search({ callerId, query: "needle", conversationId: strange });
      expect(await failureOf(call)).toMatchObject({ code: Code.NotFound, reason: "CONVERSATION_NOT_FOUND" });
    }
    await im.group.deleteMember({ callerId, groupId: own, userId: "me" });
    expect(await found("needle")).toEqual(["needle here"]);
  });

  it.each([1, 2, 3, 7, 8])("answers pages of %i, the newest first, each message once", async (pageSize) => {
    const other = await im.groupOf(callerId);
    for (const [content, timestamp] of Object.entries({ a: 10, b: 10, c: 30, d: 20, e: 20, f: 40, g: 5 })) {
      const to = content < "d" ? conversationId : other;
      await sayOne(`needle ${content}`, { to, timestamp: BigInt(timestamp) });
    }
    const order = ["f", "c", "e", "d", "b", "a", "g"];
    expect(await found("needle", "", pageSize)).toEqual(order.map((content) => `needle ${content}`));
  });

  it.each([
    [{}, "query"],
    [{ query: "x".repeat(129) }, "query"],
    [{ query: "x", pageSize: 101 }, "page_size"],
    [{ query: "x", pageToken: "made up" }, "page_token"],
  ])("refuses %j", async (request, field) => {
    const call = im.message.search({ callerId, ...request });
    expect(await failureOf(call)).toEqual({ code: Code.InvalidArgument, reason: "INVALID_FIELD", fields: [field] });
  });
});
