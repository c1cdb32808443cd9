// `resume` through the gateway's public door: what is asked, what waits meanwhile, and what comes in which order.
import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Client, type ResumingGateway, startResuming, turnsEnd } from "../../test/resuming-gateway.ts";
import type { Frame } from "../../test/start-gateway.ts";
import { failure } from "../errors.ts";

const bob = { target_user_id: "bob" };
const message = (seq_id: number, conversation_id = "c1", target_user_id = "bob"): object => ({
  target_user_id,
  conversation_id,
  seq_id,
  content: "x",
});
const stored = (
  seqId: number,
  conversationId = "c1",
): { conversationId: string; seqId: bigint; timestamp: bigint } => ({
  conversationId,
  seqId: BigInt(seqId),
  timestamp: 7n,
});

/** Frames as the tests compare them: "c1/3" for a message, else the type and what matters of it. */
function shown({ type, message_id, data }: Frame): string {
  switch (type) {
    case "new-message":
      return `${data.conversation_id}/${data.seq_id}`;
    case "resumed":
      return `resumed ${message_id} ${data.count}`;
    case "resync-required":
      return `resync ${message_id} ${data.reason} ${String(data.conversation_ids)}`;
    default:
      return type;
  }
}

const came = ({ frames }: Client): string[] => frames.slice(1).map(shown);

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new Error("waited in vain");
    }
    await turnsEnd();
  }
}

/** A connection of bob's whose `resume` im-logic is being asked about. */
async function resuming(
  started: ResumingGateway,
  cursors: Readonly<Record<string, number>> = {},
  userId = "bob",
): Promise<Client> {
  const client = await started.connect(userId);
  client.send("resume", { cursors }, "r1");
  await until(() => started.asked.length > 0);
  return client;
}

const isClosing = ({ type }: Frame): boolean => type === "resumed" || type === "resync-required";
const closed = (client: Client): Promise<void> => until(() => client.frames.some(isClosing));

describe("a resume", () => {
  test("asks for what lies beyond the cursors, by the connection's route", async () => {
    const started = await startResuming();
    const client = await resuming(started, { c1: 4 });
    expect(started.asked[0]?.request).toMatchObject({
      userId: "bob",
      deviceId: "bob-phone",
      gatewayId: "g1",
      connectionId: client.frames[0]?.data.connection_id,
      seq: 1n,
      cursors: { c1: 4n },
      maxPerConversation: 200,
      maxMessages: 1000,
    });
    expect(started.asked[0]?.request.gatewayEpoch).toBeGreaterThan(0n);
    started.asked[0]?.answer({ messages: [stored(5)], heads: { c1: 5n } });
    await closed(client);
    expect(came(client)).toEqual(["c1/5", "resumed r1 1"]);
    expect(client.frames[1]).toMatchObject({ message_id: "", data: { timestamp: 7000, seq_id: 5 } });
    expect(client.frames[2]?.data).toEqual({ complete: true, count: 1 });
    expect(Object.fromEntries(started.gateway.counters.resumes)).toEqual({ complete: 1 });
  });

  test("holds what comes meanwhile; what the answer had does not come again, now or late", async () => {
    const started = await startResuming();
    const client = await resuming(started, { c1: 4 });
    await started.deliver(
      message(5),
      message(6),
      { ...bob, type: "typing", data: { conversation_id: "c1" } },
      message(7),
    );
    client.send("ping", {}, "p");
    await turnsEnd();
    expect(came(client)).toEqual(["pong"]);
    started.asked[0]?.answer({ messages: [stored(5), stored(6)], heads: { c1: 6n, c2: 0n } });
    await closed(client);
    await started.deliver(message(4), message(6), message(8), message(1, "c2"));
    expect(came(client)).toEqual(["pong", "c1/5", "c1/6", "resumed r1 2", "typing", "c1/7", "c1/8", "c2/1"]);
  });

  test("gives what it held once and in order, also where it came otherwise", async () => {
    const started = await startResuming();
    const client = await resuming(started);
    await started.deliver(message(3), message(1, "c2"), message(2), message(3), message(1));
    started.asked[0]?.answer({ messages: [stored(1)], heads: { c1: 1n } });
    await closed(client);
    expect(came(client)).toEqual(["c1/1", "resumed r1 1", "c1/2", "c2/1", "c1/3"]);
  });

  test("while another one runs is refused; after it, it is answered", async () => {
    const started = await startResuming();
    const client = await resuming(started);
    client.send("resume", {}, "r2");
    await turnsEnd();
    expect(client.frames.at(-1)).toMatchObject({
      type: "error",
      message_id: "r2",
      data: { reason: "RESUME_IN_PROGRESS" },
    });
    started.asked[0]?.answer({});
    await closed(client);
    client.send("resume", {}, "r3");
    await until(() => started.asked.length === 2);
    started.asked[1]?.answer({ heads: { c1: 0n } });
    await until(() => client.frames.length === 4);
    expect(came(client)).toEqual(["error", "resumed r1 0", "resumed r3 0"]);
  });

  test("during which more comes than may wait: no message of it, and all is to be read anew", async () => {
    const started = await startResuming({ websocket: { sendBufferBytes: 1000 } });
    const client = await resuming(started);
    const read = { ...bob, type: "message-read", data: { conversation_id: "c1", user_id: "a", seq_id: 1 } };
    await started.deliver(read, ...Array.from({ length: 10 }, (_, index) => message(index + 2)), read);
    expect(came(client)).toEqual(["message-read", "message-read"]);
    started.asked[0]?.answer({ messages: [stored(1)], heads: { c1: 1n } });
    await closed(client);
    await started.deliver(message(12));
    expect(came(client).slice(2)).toEqual(["c1/1", "resync r1 HELD_TOO_MUCH ", "c1/12"]);
  });

  test.each([
    ["is away", failure(Code.Unavailable, "AWAY", "away"), "LOGIC_UNAVAILABLE", []],
    ["does not route to it", failure(Code.FailedPrecondition, "ROUTE_REFUSED", "no"), "ROUTE_REFUSED", [1012]],
    ["has no such method", failure(Code.Unimplemented, "NONE", "no such method"), "NO_HISTORY", []],
    ["fails inside", new Error("a fault"), "LOGIC_UNAVAILABLE", []],
  ])(
    "which im-logic can not answer, because it %s: what is there, and no claim that it is all",
    async (_name, error, reason, closes) => {
      const started = await startResuming();
      await started.deliver(message(4), message(5));
      const client = await resuming(started, { c1: 4 });
      await started.deliver(message(5), message(6));
      started.asked[0]?.fail(error);
      await closed(client);
      expect(came(client)).toEqual(["c1/5", `resync r1 ${reason} `, "c1/6"]);
      expect(Object.fromEntries(started.gateway.counters.resumes)).toEqual({ [reason]: 1 });
      expect(client.closes).toEqual(closes);
    },
  );

  test("of a back end without RouteService: the same", async () => {
    const started = await startResuming({ history: false });
    await started.deliver(message(4), message(5));
    const client = await started.connect("bob");
    client.send("resume", { cursors: { c1: 4 } }, "r1");
    await closed(client);
    expect(came(client)).toEqual(["c1/5", "resync r1 NO_HISTORY "]);
  });

  test("of a connection that goes: nothing is left of it, and what it had not got waits for the next", async () => {
    const started = await startResuming();
    const client = await resuming(started);
    await started.deliver(message(1));
    client.leave();
    started.asked[0]?.answer({ messages: [stored(1)], heads: { c1: 1n } });
    const next = await started.connect("bob");
    next.send("ping");
    await until(() => came(next).length === 2);
    expect(came(next)).toEqual(["c1/1", "pong"]);
    expect(came(client)).toEqual([]);
    expect(started.logged.filter((line) => line.startsWith("error"))).toEqual([]);
  });

  test("at the gateway's end: it closes, nothing hangs", async () => {
    const started = await startResuming();
    const client = await resuming(started);
    await started.gateway.drain(AbortSignal.timeout(1000));
    expect(client.closes).toEqual([1012]);
    expect(came(client)).toEqual(["goaway"]);
  });

  test("of a reader that does not read gets no second part, and is closed in the end", async () => {
    let nowMs = 1_000_000_000_000;
    const started = await startResuming({ websocket: { sendBufferBytes: 1000 }, now: () => nowMs });
    const client = await resuming(started);
    const messages = Array.from({ length: 200 }, (_, index) => ({ ...stored(index + 1), content: "x".repeat(4000) }));
    client.buffered = 600;
    started.asked[0]?.answer({ messages, heads: { c1: 200n } });
    await until(() => client.frames.length > 1);
    const first = client.frames.length;
    expect(first).toBeLessThan(60);
    nowMs += 10_000;
    await until(() => client.closes.length > 0);
    expect([client.closes, client.frames.length]).toEqual([[4008], first]);
  });
});

test("whatever the order of storing, routing, reading and delivering: each message once, in order, after the cursor", async () => {
  type Step = "store c1" | "store c2" | "deliver" | "connected" | "read";
  const steps = fc.array(fc.constantFrom<Step[]>("store c1", "store c2", "deliver", "connected", "read"), {
    maxLength: 40,
  });
  const started = await startResuming();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(5), fc.nat(5), steps, async (before, cursor, order) => {
      runs += 1;
      const userId = `bob ${runs}`;
      const heads = { c1: before, c2: 2 };
      const cursors = { c1: Math.min(cursor, before), c2: 1 };
      const client = await resuming(started, cursors, userId);
      // im-logic, as far as it matters: what is stored is written to whom it routes.
      const written: object[] = [];
      let routed = false;
      let unrouted: object[] = [message(before, "c1", userId), message(2, "c2", userId)].slice(before === 0 ? 1 : 0);
      const step: Record<Step, () => Promise<void>> = {
        "store c1": async () => store("c1"),
        "store c2": async () => store("c2"),
        deliver: () => started.deliver(...written.splice(0, 1)),
        // The catch-up of those that were stored a moment ago.
        async connected() {
          if (!routed) {
            written.push(...unrouted);
            unrouted = [];
          }
          routed = true;
        },
        async read() {
          const asked = started.asked.shift();
          if (asked !== undefined) {
            routed = true;
            const messages = (["c1", "c2"] as const).flatMap((conversation) =>
              upTo(heads[conversation], cursors[conversation]).map((seq) => stored(seq, conversation)),
            );
            asked.answer({ messages, heads: { c1: BigInt(heads.c1), c2: BigInt(heads.c2) } });
            await closed(client);
          }
        },
      };
      const store = (conversation: "c1" | "c2"): void => {
        heads[conversation] += 1;
        (routed ? written : unrouted).push(message(heads[conversation], conversation, userId));
      };
      for (const name of [...order, "read" as const]) {
        await step[name]();
      }
      await started.deliver(...written);
      const messages = client.frames.filter(({ type }) => type === "new-message").map(shown);
      for (const conversation of ["c1", "c2"] as const) {
        const expected = upTo(heads[conversation], cursors[conversation]).map((seq) => `${conversation}/${seq}`);
        expect(messages.filter((name) => name.startsWith(conversation))).toEqual(expected);
      }
      expect(client.frames.filter(isClosing)).toHaveLength(1);
      client.leave();
    }),
    { numRuns: 300 },
  );
});

/** The seq_ids after the cursor. */
function upTo(head: number, cursor: number): number[] {
  return Array.from({ length: Math.max(0, head - cursor) }, (_, index) => cursor + index + 1);
}

describe("what is kept for a user who is away", () => {
  async function back(started: ResumingGateway): Promise<Client> {
    (await started.connect("bob")).leave();
    await started.deliver(message(1), { ...bob, type: "typing", data: {} }, message(2));
    return started.connect("bob");
  }

  test("waits a moment for a resume, which has it in order with the rest", async () => {
    const started = await startResuming();
    const client = await back(started);
    expect(came(client)).toEqual([]);
    client.send("resume", { cursors: {} }, "r1");
    await until(() => started.asked.length > 0);
    expect(came(client)).toEqual([]);
    started.asked[0]?.answer({ messages: [stored(3)], heads: { c1: 3n } });
    await closed(client);
    expect(came(client)).toEqual(["c1/1", "c1/2", "c1/3", "resumed r1 3"]);
  });

  test.each<[string, (client: Client, started: ResumingGateway) => unknown, string[]]>([
    ["anything else that the client sends", (client) => client.send("ping"), ["c1/1", "c1/2", "pong"]],
    ["a live frame", (_client, started) => started.deliver(message(3)), ["c1/1", "c1/2", "c1/3"]],
    ["time", () => undefined, ["c1/1", "c1/2"]],
  ])("or for %s", async (_name, act, expected) => {
    const started = await startResuming();
    const client = await back(started);
    await act(client, started);
    await until(() => came(client).length === expected.length);
    expect(came(client)).toEqual(expected);
    const { deliveriesKept, deliveriesOffline } = started.gateway.counters;
    expect([deliveriesKept, deliveriesOffline]).toEqual([2, 1]);
  });

  test("is for the first connection; another device has nothing of it, nor is anything kept while one is here", async () => {
    const started = await startResuming();
    const phone = await back(started);
    const tablet = await started.connect("bob");
    await started.deliver(message(3));
    expect([came(phone), came(tablet)]).toEqual([["c1/1", "c1/2", "c1/3"], ["c1/3"]]);
    phone.leave();
    await started.deliver(message(4));
    const again = await started.connect("bob");
    again.send("ping");
    await turnsEnd();
    expect(came(again)).toEqual(["pong"]);
  });

  test.each<[string, number, number, string[]]>([
    ["within the window of who left", 59_000, 60_000, ["c1/1", "pong"]],
    ["after it nothing is", 60_000, 60_000, ["pong"]],
    ["without a window nothing is", 0, 0, ["pong"]],
  ])("%s", async (_name, passed, resumeWindowMs, expected) => {
    let nowMs = 1_000_000_000_000;
    const started = await startResuming({ now: () => nowMs, websocket: { resumeWindowMs } });
    // The gateway's own start is over.
    nowMs += 100_000;
    (await started.connect("bob")).leave();
    nowMs += passed;
    await started.deliver(message(1), { ...message(1), target_user_id: "stranger" });
    const client = await started.connect("bob");
    client.send("ping");
    await until(() => came(client).includes("pong"));
    expect(came(client)).toEqual(expected);
    const kept = expected.length - 1;
    const { deliveriesKept, deliveriesOffline } = started.gateway.counters;
    expect([deliveriesKept, deliveriesOffline]).toEqual([kept, 2 - kept]);
  });

  test("is bounded, and a user of whom something had to go is told", async () => {
    const started = await startResuming();
    const large = { ...message(1), content: "x".repeat(100_000) };
    await started.deliver(large, { ...large, seq_id: 2 });
    const client = await started.connect("bob");
    client.send("ping");
    await until(() => came(client).includes("pong"));
    expect(came(client)).toEqual(["c1/2", "resync  RECORDS_DROPPED ", "pong"]);
  });
});
