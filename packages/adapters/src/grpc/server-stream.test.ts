// Server-streaming calls, by the export of messages.
import { randomBytes } from "node:crypto";
import { Code, ConnectError, createClient, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { failure, reasonOf } from "@im-gateway/core";
import { MessageService } from "@im-gateway/proto";
import { waitFor } from "@im-gateway/tools/process";
import { afterEach, describe, expect, it } from "vitest";
import { type LogicServer, serveLogic } from "../../fixtures/logic-server.ts";
import { createGrpcTransport, fixedEndpoints, type GrpcTransport } from "./index.ts";

type Export = ServiceImpl<typeof MessageService>["exportMessages"];
type Exported = AsyncIterable<{ readonly seqId: bigint }>;

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(
  exportMessages: Export,
  timeoutMs = 3_000,
): Promise<{
  exported: (signal?: AbortSignal) => Exported;
  transport: GrpcTransport;
  server: LogicServer;
}> {
  const server = await serveLogic({ message: { exportMessages } });
  const endpoints = fixedEndpoints([{ address: "127.0.0.1", port: server.port }]);
  const transport = createGrpcTransport({ endpoints, timeoutMs, log() {} });
  closers.push(server.close, transport.close);
  const client = createClient(MessageService, transport);
  const exported = (signal?: AbortSignal) =>
    client.exportMessages({ conversationId: "c" }, signal === undefined ? {} : { signal });
  return { exported, transport, server };
}

/** The seq_ids that came, and the error that the stream ended with. */
async function read(messages: Exported): Promise<{ seqIds: number[]; error?: ConnectError }> {
  const seqIds: number[] = [];
  try {
    for await (const { seqId } of messages) seqIds.push(Number(seqId));
  } catch (thrown) {
    if (!(thrown instanceof ConnectError)) throw thrown;
    return { seqIds, error: thrown };
  }
  return { seqIds };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const untilAborted = ({ signal }: HandlerContext): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve()));

it("gives the messages in order, and their end", async () => {
  const { exported } = await serve(async function* ({ conversationId }) {
    for (let seqId = 1n; seqId <= 300n; seqId++) yield { conversationId, seqId };
  });
  const { seqIds, error } = await read(exported());
  expect([seqIds.length, seqIds[0], seqIds.at(-1), error]).toEqual([300, 1, 300, undefined]);
});

it("of nothing is an end", async () => {
  const { exported } = await serve(async function* () {});
  expect(await read(exported())).toEqual({ seqIds: [] });
});

describe("an error of the server", () => {
  it.each([0, 1, 50])("after %s messages comes after them, with its details", async (count) => {
    const { exported } = await serve(async function* () {
      for (let seqId = 1n; seqId <= count; seqId++) yield { seqId };
      throw failure(Code.PermissionDenied, "NOT_A_MEMBER", "not yours");
    });
    const { seqIds, error } = await read(exported());
    expect([seqIds.length, error?.code, error && reasonOf(error)]).toEqual([
      count,
      Code.PermissionDenied,
      "NOT_A_MEMBER",
    ]);
  });

  it("is Unavailable when the server is lost in the middle", async () => {
    const { exported, server } = await serve(async function* (_, context) {
      yield { seqId: 1n };
      await untilAborted(context);
    });
    const messages = exported()[Symbol.asyncIterator]();
    await messages.next();
    await server.close();
    closers.shift();
    await expect(messages.next()).rejects.toMatchObject({ code: Code.Unavailable });
  });
});

it("leaves at the server what nobody asks for, however long", async () => {
  let made = 0;
  // What does not compress: the server would send a few bytes else.
  const content = randomBytes(12_288).toString("base64");
  const { exported } = await serve(async function* () {
    for (; made < 2_000; made++) yield { seqId: BigInt(made + 1), content };
  }, 1_500);
  const messages = exported()[Symbol.asyncIterator]();
  await messages.next();
  let before = -1;
  await waitFor(
    () => {
      const still = made === before;
      before = made;
      return still;
    },
    { timeoutMs: 5_000, intervalMs: 200, what: "the server to stop" },
  );
  expect(made).toBeLessThan(500);
  // Longer than a message may take.
  await pause(2_000);
  const seqIds: bigint[] = [];
  for (let next = await messages.next(); !next.done; next = await messages.next()) seqIds.push(next.value.seqId);
  expect([seqIds.length, seqIds.at(-1)]).toEqual([1_999, 2_000n]);
});

describe("the time limit", () => {
  it("is for each message, not for all", async () => {
    const { exported } = await serve(async function* () {
      for (let seqId = 1n; seqId <= 7n; seqId++) {
        yield { seqId };
        await pause(100);
      }
    }, 550);
    expect(await read(exported())).toEqual({ seqIds: [1, 2, 3, 4, 5, 6, 7] });
  });

  it.each([0, 2])("ends a stream that is silent after %s messages, here and there", async (count) => {
    let context: HandlerContext | undefined;
    const { exported } = await serve(async function* (_, received) {
      context = received;
      for (let seqId = 1n; seqId <= count; seqId++) yield { seqId };
      await untilAborted(received);
    }, 200);
    const { seqIds, error } = await read(exported());
    expect([seqIds.length, error?.code]).toEqual([count, Code.DeadlineExceeded]);
    await waitFor(() => context?.signal.aborted, { timeoutMs: 2_000, what: "the server to see the end" });
  });
});

describe("a reader that leaves ends the call at the server", () => {
  const endless = async () => {
    const seen: { context?: HandlerContext } = {};
    const { exported, transport } = await serve(async function* (_, context) {
      seen.context = context;
      for (let seqId = 1n; !context.signal.aborted; seqId++) {
        yield { seqId };
        await pause(5);
      }
    });
    const gone = () => waitFor(() => seen.context?.signal.aborted, { timeoutMs: 2_000, what: "the call to end" });
    return { exported, transport, gone };
  };

  it("by leaving the loop", async () => {
    const { transport, gone } = await endless();
    const request = (async function* () {
      yield { conversationId: "c" };
    })();
    const method = MessageService.method.exportMessages;
    const { message } = await transport.stream(method, undefined, undefined, undefined, request);
    for await (const { seqId } of message) {
      if (seqId === 3n) break;
    }
    await gone();
  });

  it("by its signal", async () => {
    const { exported, gone } = await endless();
    const controller = new AbortController();
    const messages = read(exported(controller.signal));
    await pause(50);
    controller.abort();
    expect((await messages).error?.code).toBe(Code.Canceled);
    await gone();
  });
});
