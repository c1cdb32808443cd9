// Resume: what a connection that came back is told, and what is routed to it from then on.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { MessageType, type ResumeRequestSchema, type ResumeResponse } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { failureOf, startLogic, type TestLogic } from "../../test/start-logic.ts";

let im: TestLogic;
let ada: string;
let bob: string;
let sent: number;

beforeEach(async () => {
  sent = 0;
  im = await startLogic();
  [ada, bob] = [await im.person("Ada"), await im.person("Bob")];
});
afterEach(() => im.stop());

async function say(conversationId: string, count = 1, content = "hello"): Promise<void> {
  const records = Array.from({ length: count }, () => {
    sent += 1;
    return { userId: ada, conversationId, content, clientMsgId: `c${sent}`, messageType: MessageType.TEXT };
  });
  await im.sendUpstream(...records);
  await im.settled();
}

type Request = MessageInitShape<typeof ResumeRequestSchema>;
const bobs = (part: Request = {}): Request => ({
  userId: bob,
  deviceId: "phone",
  gatewayId: "g1",
  gatewayEpoch: 1n,
  connectionId: "b1",
  seq: 1n,
  ...part,
});

const connected = { event: "connected", gatewayId: "g1", gatewayEpoch: 1n, connectionId: "b1", seq: 1n };

function seqs({ messages }: ResumeResponse, conversationId: string): number[] {
  return messages.filter((message) => message.conversationId === conversationId).map(({ seqId }) => Number(seqId));
}

const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index);

/** How many records for gateways one more message becomes. */
async function reached(conversationId: string): Promise<number> {
  const before = im.received.length;
  await say(conversationId);
  return im.received.length - before;
}

describe("the answer", () => {
  it("has what lies beyond the cursors, and the heads of all conversations", async () => {
    const [first, second, third] = [await im.groupOf(ada, bob), await im.groupOf(ada, bob), await im.groupOf(ada, bob)];
    const others = await im.groupOf(ada);
    await say(first, 3);
    await say(second, 2);
    await say(others, 2);
    const answer = await im.route.resume(bobs({ cursors: { [first]: 1n, [others]: 1n, nowhere: 4n } }));
    expect(seqs(answer, first)).toEqual([2, 3]);
    expect(seqs(answer, second)).toEqual([1, 2]);
    expect(answer.messages).toHaveLength(4);
    expect(answer.heads).toEqual({ [first]: 3n, [second]: 2n, [third]: 0n });
    expect(answer.incomplete).toEqual([]);
    const ahead = await im.route.resume(bobs({ cursors: { [first]: 9n, [second]: 2n } }));
    expect([ahead.messages, ahead.incomplete]).toEqual([[], []]);
  });

  it("names the conversations beyond a bound and has the rest whole", async () => {
    const [large, small] = [await im.groupOf(ada, bob), await im.groupOf(ada, bob)];
    await say(large, 250);
    await say(small, 3);
    const answer = await im.route.resume(bobs({ cursors: { [large]: 10n } }));
    expect(seqs(answer, large)).toEqual(upTo(200, 11));
    expect(seqs(answer, small)).toEqual([1, 2, 3]);
    expect(answer.incomplete).toEqual([large]);
    expect(answer.heads[large]).toBe(250n);

    const fewer = await im.route.resume(bobs({ maxPerConversation: 2, maxMessages: 3 }));
    expect([seqs(fewer, small), seqs(fewer, large)]).toEqual([[1, 2], [1]]);
    expect(new Set(fewer.incomplete)).toEqual(new Set([large, small]));
  });

  it("has of what was kept only what was recalled, which counts for the bounds", async () => {
    const [large, small] = [await im.groupOf(ada, bob), await im.groupOf(ada, bob)];
    await say(large, 10);
    await say(small, 3);
    const { messages } = await im.message.listMessages({ callerId: ada, conversationId: large });
    for (const seqId of [2n, 4n, 6n, 8n]) {
      const messageId = messages.find((message) => message.seqId === seqId)?.messageId ?? "";
      await im.message.deleteMessage({ callerId: ada, conversationId: large, messageId });
    }
    const kept = { cursors: { [large]: 2n }, keptThrough: { [large]: 7n, [small]: 3n } };
    const answer = await im.route.resume(bobs(kept));
    expect([seqs(answer, large), seqs(answer, small)]).toEqual([[4, 6, 8, 9, 10], []]);
    expect(answer.messages.slice(0, 3).map(({ content }) => content)).toEqual(["", "", ""]);
    expect([answer.heads, answer.incomplete]).toEqual([{ [large]: 10n, [small]: 3n }, []]);
    const bounded = await im.route.resume(bobs({ ...kept, maxPerConversation: 7 }));
    expect([seqs(bounded, large), bounded.incomplete]).toEqual([[4, 6, 8, 9], [large]]);
    const inAll = await im.route.resume(bobs({ ...kept, maxMessages: 9 }));
    expect([seqs(inAll, large), inAll.incomplete]).toEqual([[4, 6, 8], [large]]);
    const beyond = await im.route.resume(bobs({ keptThrough: { [large]: 12n } }));
    expect([seqs(beyond, large), seqs(beyond, small)]).toEqual([
      [2, 4, 6, 8],
      [1, 2, 3],
    ]);
  });

  it("is small enough for gRPC, however much was missed", async () => {
    const groups = [await im.groupOf(ada, bob), await im.groupOf(ada, bob)];
    for (const group of groups) {
      await say(group, 40, "ä".repeat(32 * 1024));
    }
    const answer = await im.route.resume(bobs());
    const bytes = answer.messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
    expect(bytes).toBeGreaterThan(2.9 * 1024 * 1024);
    expect(bytes).toBeLessThan(3.2 * 1024 * 1024);
    expect(answer.incomplete).toEqual([groups[0]]);
  });
});

describe("the route", () => {
  it("is there from the answer on, and the event that comes after it changes nothing", async () => {
    const group = await im.groupOf(ada, bob);
    expect(await reached(group)).toBe(0);
    expect(seqs(await im.route.resume(bobs()), group)).toEqual([1]);
    const before = im.received.length;
    await im.sendUserEvents({ ...connected, userId: bob });
    await im.settled();
    expect(im.received.length - before).toBe(0);
    expect(await reached(group)).toBe(1);
    await im.sendUserEvents({ ...connected, userId: bob, event: "disconnected", seq: 2n });
    await im.settled();
    expect(await reached(group)).toBe(0);
  });

  it("that a later event has asserted already is there", async () => {
    const group = await im.groupOf(ada, bob);
    await im.sendUserEvents({ ...connected, userId: bob, seq: 5n });
    await say(group);
    expect(seqs(await im.route.resume(bobs()), group)).toEqual([1]);
    expect(await reached(group)).toBe(1);
  });

  it.each([
    ["that has ended", {}],
    ["of an epoch that is over", { gatewayEpoch: 0n, connectionId: "b0" }],
  ])("%s is refused and not recorded", async (_name, part) => {
    const group = await im.groupOf(ada, bob);
    await im.sendUserEvents({ ...connected, userId: bob, event: "disconnected", seq: 2n });
    await im.settled();
    const refused = await failureOf(im.route.resume(bobs(part)));
    expect(refused).toEqual({ code: Code.FailedPrecondition, reason: "ROUTE_REFUSED", fields: [] });
    expect(await reached(group)).toBe(0);
  });
});

it.each([
  [{ userId: "", gatewayId: "", connectionId: "" }, ["user_id", "gateway_id", "connection_id"]],
  [{ cursors: { c: -1n } }, ["cursors.c"]],
  [{ keptThrough: { c: -1n } }, ["kept_through.c"]],
  [{ maxMessages: -1, maxPerConversation: -1 }, ["max_per_conversation", "max_messages"]],
])("a request that breaks the contract is refused: %#", async (part, fields) => {
  expect(await failureOf(im.route.resume(bobs(part)))).toMatchObject({ code: Code.InvalidArgument, fields });
});
