import { inspect } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { MessageType, type UpstreamRecordSchema } from "@im-gateway/proto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ReceivedRecord, startLogic, type TestLogic } from "../test/start-logic.ts";

type Upstream = MessageInitShape<typeof UpstreamRecordSchema>;

let im: TestLogic;
let ada: string;
let bob: string;
let eve: string;
let conversationId: string;

/** Ada on g1 with two connections, Bob on g2, Eve nowhere; all in one group. */
beforeEach(async () => {
  im = await startLogic();
  [ada, bob, eve] = [await im.person("Ada"), await im.person("Bob"), await im.person("Eve")];
  conversationId = await im.groupOf(ada, bob, eve);
  await connect(ada, "g1", "a1", 1n);
  await connect(ada, "g1", "a2", 2n);
  await connect(bob, "g2", "b1", 1n);
});
afterEach(() => im.stop());

async function connect(userId: string, gatewayId: string, connectionId: string, seq: bigint): Promise<void> {
  await im.sendUserEvents({ event: "connected", userId, gatewayId, connectionId, seq });
  await im.settled();
}

/** As a gateway writes it for Ada's first connection. */
function message(part: Upstream = {}): Upstream {
  return {
    traceId: "trace-123",
    userId: ada,
    gatewayId: "g1",
    connectionId: "a1",
    conversationId,
    messageType: MessageType.TEXT,
    content: "Hello World!",
    clientMsgId: "client123",
    timestamp: 1634567890n,
    headers: { origin: "test" },
    ...part,
  };
}

/** What the records lead to. */
async function outcomeOf(...records: readonly Upstream[]): Promise<readonly ReceivedRecord[]> {
  const before = im.received.length;
  await im.sendUpstream(...records);
  await im.settled();
  return im.received.slice(before);
}

function ofType(records: readonly ReceivedRecord[], type: string): ReceivedRecord[] {
  return records.filter(({ record }) => record.type === type);
}

describe("a message", () => {
  it("goes once to each gateway of its members, and back as message-stored", async () => {
    const records = await outcomeOf(message());
    const { messages } = await im.message.listMessages({ callerId: bob, conversationId });
    const messageId = messages[0]?.messageId;
    const shared = { traceId: "trace-123", conversationId, clientMsgId: "client123", headers: { origin: "test" } };
    const newMessage = {
      ...shared,
      messageId,
      senderId: ada,
      messageType: MessageType.TEXT,
      content: "Hello World!",
      seqId: 1n,
      timestamp: 1634567890n,
    };
    const stored = { messageId, conversationId, seqId: 1, timestamp: 1634567890000, clientMsgId: "client123" };
    expect(records).toHaveLength(3);
    expect(records.every(({ key }) => key === conversationId)).toBe(true);
    expect(records.every(({ headers }) => headers.traceparent === "00-trace")).toBe(true);
    expect(ofType(records, "message-stored")).toMatchObject([
      {
        gatewayId: "g1",
        record: {
          ...shared,
          targetUserIds: [],
          targetConnectionIds: ["a1"],
          data: {
            client_msg_id: stored.clientMsgId,
            message_id: stored.messageId,
            conversation_id: stored.conversationId,
            seq_id: stored.seqId,
            timestamp: stored.timestamp,
          },
        },
      },
    ]);
    expect(ofType(records, "").toSorted((a, b) => a.gatewayId.localeCompare(b.gatewayId))).toMatchObject([
      { gatewayId: "g1", record: { ...newMessage, targetUserIds: [ada], excludeConnectionIds: ["a1"] } },
      { gatewayId: "g2", record: { ...newMessage, targetUserIds: [bob], excludeConnectionIds: [] } },
    ]);
  });

  it("names all users of a gateway in one record", async () => {
    await connect(eve, "g2", "e1", 2n);
    await connect(bob, "g2", "b2", 3n);
    const targets = ofType(await outcomeOf(message()), "").filter(({ gatewayId }) => gatewayId === "g2");
    expect(targets.map(({ record }) => [...record.targetUserIds].sort())).toEqual([[bob, eve].sort()]);
  });

  it("is not written to a gateway where only its sender is", async () => {
    const records = await outcomeOf(message({ userId: bob, gatewayId: "g2", connectionId: "b1" }));
    expect(records.map(({ gatewayId, record }) => [gatewayId, record.type]).sort()).toEqual([
      ["g1", ""],
      ["g2", "message-stored"],
    ]);
  });

  it("reaches all connections of its sender when it came over HTTP", async () => {
    const records = await outcomeOf(message({ connectionId: "" }));
    expect(records.every(({ record }) => record.type === "")).toBe(true);
    const [first] = records.filter(({ gatewayId }) => gatewayId === "g1");
    expect(first?.record).toMatchObject({ targetUserIds: [ada], excludeConnectionIds: [] });
  });

  it("is confirmed to a connection that is not known yet", async () => {
    const records = await outcomeOf(message({ userId: eve, connectionId: "e1", gatewayId: "g2" }));
    const stored = ofType(records, "message-stored");
    expect(stored).toMatchObject([{ gatewayId: "g2", record: { targetConnectionIds: ["e1"] } }]);
    const toBob = ofType(records, "").filter(({ gatewayId }) => gatewayId === "g2");
    expect(toBob).toMatchObject([{ record: { targetUserIds: [bob], excludeConnectionIds: ["e1"] } }]);
  });

  it.each([0n, -5n, 2n ** 52n])("sent at %d gets im-logic's time", async (timestamp) => {
    const earliest = BigInt(Math.floor(Date.now() / 1000));
    const [stored] = ofType(await outcomeOf(message({ timestamp })), "");
    expect(stored?.record.timestamp).toBeGreaterThanOrEqual(earliest);
    expect(stored?.record.timestamp).toBeLessThanOrEqual(BigInt(Math.ceil(Date.now() / 1000)));
  });
});

describe("a message that comes again", () => {
  it("is sent again with the same ids, and stored once", async () => {
    const first = await outcomeOf(message());
    const again = await outcomeOf(message());
    expect(again.map(({ record }) => ({ ...record, traceId: "" }))).toEqual(
      first.map(({ record }) => ({ ...record, traceId: "" })),
    );
    const { messages } = await im.message.listMessages({ callerId: ada, conversationId });
    expect(messages).toHaveLength(1);
  });

  it("from another connection is confirmed there", async () => {
    const [first] = ofType(await outcomeOf(message()), "message-stored");
    const [again] = ofType(await outcomeOf(message({ connectionId: "a2" })), "message-stored");
    expect(again?.record.targetConnectionIds).toEqual(["a2"]);
    expect(again?.record.data).toEqual(first?.record.data);
  });

  it("is confirmed also after its sender has left the group", async () => {
    const [first] = ofType(await outcomeOf(message()), "message-stored");
    await im.group.deleteMember({ callerId: ada, groupId: conversationId, userId: "me" });
    const [again] = ofType(await outcomeOf(message()), "message-stored");
    expect(again?.record.data).toEqual(first?.record.data);
  });

  it("under another user's name is another message", async () => {
    await outcomeOf(message());
    await outcomeOf(message({ userId: bob, connectionId: "b1", gatewayId: "g2" }));
    const { messages } = await im.message.listMessages({ callerId: ada, conversationId });
    expect(messages.map(({ senderId }) => senderId)).toEqual([ada, bob]);
  });

  it("keeps seq_id without gaps, however records are repeated and batched", async () => {
    const sends = fc.record({ sender: fc.nat(2), room: fc.nat(1), id: fc.nat(6), twice: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(sends, { minLength: 1, maxLength: 30 }), async (plan) => {
        const senders = [ada, bob, eve];
        const rooms = [await im.groupOf(ada, bob, eve), await im.groupOf(ada, bob, eve)];
        const records = plan.flatMap(({ sender, room, id, twice }) => {
          const record = message({
            userId: senders[sender] ?? "",
            conversationId: rooms[room] ?? "",
            clientMsgId: `${rooms[room]}-${id}`,
            content: `content ${id}`,
          });
          return twice ? [record, record] : [record];
        });
        await im.sendUpstream(...records);
        await im.sendUpstream(...records);
        await im.settled();
        for (const room of rooms) {
          const mine = records.filter((record) => record.conversationId === room);
          const unique = new Set(mine.map(({ userId, clientMsgId }) => `${userId} ${clientMsgId}`));
          const { messages } = await im.message.listMessages({ callerId: ada, conversationId: room, pageSize: 100 });
          // In the order of their first coming.
          expect(messages.map(({ senderId, clientMsgId }) => `${senderId} ${clientMsgId}`)).toEqual([...unique]);
          expect(messages.map(({ seqId }) => Number(seqId))).toEqual([...unique].map((_, index) => index + 1));
        }
      }),
      { numRuns: 25 },
    );
    const ids = new Map<string, Set<string>>();
    for (const { record } of im.received.filter(({ record }) => record.type === "")) {
      const place = `${record.conversationId} ${record.seqId}`;
      ids.set(place, (ids.get(place) ?? new Set()).add(record.messageId));
    }
    expect([...ids.values()].every((messageIds) => messageIds.size === 1)).toBe(true);
  });
});

describe("a message that is refused", () => {
  it.each([
    ["a stranger's", { conversationId: "none" }, "not_found", "CONVERSATION_NOT_FOUND"],
    ["without content", { content: "" }, "invalid_argument", "INVALID_FIELD"],
    ["without a conversation", { conversationId: "" }, "invalid_argument", "INVALID_FIELD"],
    ["without a type", { messageType: MessageType.UNSPECIFIED }, "invalid_argument", "INVALID_FIELD"],
    ["without a client_msg_id", { clientMsgId: "" }, "invalid_argument", "INVALID_FIELD"],
    ["with a long client_msg_id", { clientMsgId: "x".repeat(129) }, "invalid_argument", "INVALID_FIELD"],
    ["that is too large", { content: "ä".repeat(32 * 1024 + 1) }, "invalid_argument", "MESSAGE_TOO_LARGE"],
  ])("%s comes back to its connection as an error", async (_, part, code, reason) => {
    const record = message(part);
    const records = await outcomeOf(record);
    expect(records).toMatchObject([
      {
        gatewayId: "g1",
        record: {
          type: "error",
          traceId: "trace-123",
          clientMsgId: record.clientMsgId,
          targetUserIds: [],
          targetConnectionIds: ["a1"],
          data: {
            code,
            reason,
            message: expect.stringMatching(/./),
            trace_id: "trace-123",
            details: [],
            client_msg_id: record.clientMsgId,
          },
        },
      },
    ]);
    expect((await im.message.listMessages({ callerId: ada, conversationId })).messages).toEqual([]);
  });

  it.each([
    ["content", { content: "something else" }],
    ["type", { messageType: MessageType.IMAGE }],
    ["conversation", { conversationId: "another" }],
  ])("for its client_msg_id, which had another %s", async (_, part) => {
    await outcomeOf(message());
    const [error] = await outcomeOf(message(part));
    expect(error?.record.data).toMatchObject({ code: "already_exists", reason: "CLIENT_MSG_ID_REUSED" });
  });

  it("can be sent again once it is allowed", async () => {
    const mallory = await im.person("Mallory");
    const record = message({ userId: mallory, connectionId: "m1" });
    expect(ofType(await outcomeOf(record), "error")).toHaveLength(1);
    await im.group.createMembers({ callerId: ada, groupId: conversationId, userIds: [mallory] });
    expect(ofType(await outcomeOf(record), "message-stored")).toHaveLength(1);
  });

  it("has nobody to tell when it came over HTTP; then it is a log line without the content", async () => {
    expect(await outcomeOf(message({ conversationId: "none", connectionId: "" }))).toEqual([]);
    expect(await outcomeOf(message({ conversationId: "none", gatewayId: "" }))).toEqual([]);
    const lines = im.logLines.filter(({ level }) => level === "info");
    const refused = { conversation_id: "none", user_id: ada, trace_id: "trace-123" };
    expect(lines).toMatchObject([{ fields: refused }, { fields: refused }]);
    expect(inspect(im.logLines, { depth: 10 })).not.toContain("Hello World!");
    expect(im.logic.counts).toMatchObject({ refusedMessages: 2, storedMessages: 0 });
  });
});

it("takes up to 64 KiB, and types that have no name yet", async () => {
  const content = "ä".repeat(32 * 1024);
  await im.sendBytes(
    "upstream",
    conversationId,
    JSON.stringify({ user_id: ada, conversation_id: conversationId, message_type: 77, content, client_msg_id: "c" }),
  );
  await im.settled();
  const { messages } = await im.message.listMessages({ callerId: bob, conversationId });
  expect(messages).toMatchObject([{ messageType: 77, content, seqId: 1n }]);
});

it("skips what is no record, between records that are", async () => {
  const good = { user_id: ada, conversation_id: conversationId, message_type: 1, content: "x" };
  const values = [
    JSON.stringify({ ...good, client_msg_id: "first" }),
    "",
    "{",
    "[]",
    '{"headers":7}',
    JSON.stringify({ ...good, user_id: "", client_msg_id: "nobody's" }),
    JSON.stringify({ ...good, client_msg_id: "last", a_field_of_tomorrow: true }),
  ];
  for (const value of values) {
    await im.sendBytes("upstream", conversationId, value);
  }
  await im.settled();
  const { messages } = await im.message.listMessages({ callerId: bob, conversationId });
  expect(messages.map(({ clientMsgId }) => clientMsgId)).toEqual(["first", "last"]);
  expect(im.logic.counts).toMatchObject({ poisonRecords: 5, storedMessages: 2 });
  expect(im.logLines).toHaveLength(5);
  expect(im.logLines[0]).toMatchObject({ level: "warn", fields: { topic: "upstream", offset: expect.any(String) } });
});
