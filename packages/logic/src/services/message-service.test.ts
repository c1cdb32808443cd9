import { Code } from "@connectrpc/connect";
import { type ListMessagesRequest, MessageType } from "@im-gateway/proto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

let im: TestLogic;
let callerId: string;
let conversationId: string;

beforeEach(async () => {
  im = await startLogic();
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
