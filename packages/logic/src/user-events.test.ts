import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { MessageType, type UserEventSchema } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startLogic, type TestLogic } from "../test/start-logic.ts";

let nowMs: number;
let im: TestLogic;
let ada: string;
let bob: string;
let conversationId: string;
let sent: number;

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  sent = 0;
  im = await startLogic({ now: () => nowMs });
  [ada, bob] = [await im.person("Ada"), await im.person("Bob")];
  conversationId = await im.groupOf(ada, bob);
});
afterEach(() => im.stop());

type Event = MessageInitShape<typeof UserEventSchema>;

function event(name: "connected" | "disconnected", connectionId: string, seq: number, part: Event = {}): Event {
  return {
    event: name,
    userId: bob,
    gatewayId: "g1",
    gatewayEpoch: 1n,
    connectionId,
    seq: BigInt(seq),
    timestamp: BigInt(Math.floor(nowMs / 1000)),
    ...part,
  };
}

async function tell(...events: readonly Event[]): Promise<void> {
  await im.sendUserEvents(...events);
  await im.settled();
}

async function say(content: string, connectionId = "", userId = ada): Promise<void> {
  sent += 1;
  const origin = { userId, gatewayId: "g2", connectionId, traceId: `trace ${content}` };
  await im.sendUpstream({ ...origin, conversationId, content, clientMsgId: `c${sent}`, messageType: MessageType.TEXT });
  await im.settled();
}

/** The gateways that get a message for the conversation now. */
async function reached(from: TestLogic = im): Promise<string[]> {
  const before = from.received.length;
  const record = { userId: ada, conversationId, content: "?", messageType: MessageType.TEXT };
  await from.sendUpstream({ ...record, clientMsgId: `probe ${before} ${sent++}` });
  await from.settled();
  return from.received.slice(before).map(({ gatewayId }) => gatewayId);
}

describe("a route", () => {
  it("is there from connected to disconnected", async () => {
    expect(await reached()).toEqual([]);
    await tell(event("connected", "b1", 1));
    expect(await reached()).toEqual(["g1"]);
    await tell(event("disconnected", "b1", 2));
    expect(await reached()).toEqual([]);
  });

  it("goes with its own connection only", async () => {
    await tell(event("connected", "b1", 1), event("connected", "b2", 2));
    await tell(event("connected", "b3", 1, { gatewayId: "g2" }));
    await tell(event("disconnected", "b1", 3));
    expect((await reached()).sort()).toEqual(["g1", "g2"]);
    await tell(event("disconnected", "b2", 4));
    expect(await reached()).toEqual(["g2"]);
  });

  it("that has ended is not brought back by a late connected", async () => {
    await tell(event("connected", "b1", 1), event("disconnected", "b1", 2), event("connected", "b1", 1));
    expect(await reached()).toEqual([]);
    await tell(event("disconnected", "b2", 4));
    await tell(event("connected", "b2", 3));
    expect(await reached()).toEqual([]);
  });

  it("is unharmed by a late disconnected of an earlier time", async () => {
    await tell(event("connected", "b1", 5));
    await tell(event("disconnected", "b1", 4));
    expect(await reached()).toEqual(["g1"]);
  });

  it("of an older life of the gateway is nothing", async () => {
    await tell(event("connected", "b1", 9, { gatewayEpoch: 1n }));
    await tell(event("connected", "a1", 1, { gatewayEpoch: 2n, userId: ada }));
    await tell(event("disconnected", "a1", 2, { gatewayEpoch: 2n, userId: ada }));
    expect(await reached()).toEqual([]);
    await tell(event("connected", "b2", 10, { gatewayEpoch: 1n }));
    expect(await reached()).toEqual([]);
    await tell(event("connected", "b3", 3, { gatewayEpoch: 2n }));
    await tell(event("disconnected", "b3", 99, { gatewayEpoch: 1n }));
    expect(await reached()).toEqual(["g1"]);
  });
});

describe("a connection that is new", () => {
  it("gets what was stored around its connecting, and nothing twice", async () => {
    await tell(event("connected", "b1", 1));
    await say("an old one");
    nowMs += 6000;
    await say("first");
    await say("second");
    await tell(event("connected", "b2", 2));
    await say("third");
    const late = im.received.filter(({ record }) => record.targetConnectionIds.length > 0);
    expect(late).toMatchObject([
      {
        gatewayId: "g1",
        key: conversationId,
        record: {
          type: "",
          traceId: "trace first",
          conversationId,
          senderId: ada,
          messageType: MessageType.TEXT,
          content: "first",
          seqId: 2n,
          timestamp: BigInt(Math.floor(nowMs / 1000)),
          clientMsgId: "c2",
          messageId: expect.stringMatching(/./),
          targetUserIds: [],
          targetConnectionIds: ["b2"],
        },
      },
      { record: { content: "second", seqId: 3n, targetConnectionIds: ["b2"] } },
    ]);
  });

  it("gets its own connection's messages as message-stored only", async () => {
    await say("mine", "b1", bob);
    await say("my other device's", "b2", bob);
    await tell(event("connected", "b1", 1, { gatewayId: "g2" }));
    const late = im.received.filter(({ record }) => record.type === "");
    expect(late.map(({ record }) => record.content)).toEqual(["my other device's"]);
  });

  it("gets nothing of other people's conversations", async () => {
    await say("not for Eve");
    await tell(event("connected", "e1", 1, { userId: await im.person("Eve") }));
    expect(im.received).toEqual([]);
  });

  it("gets what was stored since it connected, when the event is late", async () => {
    const connected = event("connected", "b1", 1);
    nowMs += 2000;
    await say("meanwhile");
    nowMs += 20_000;
    await tell(connected);
    expect(im.received.map(({ record }) => record.content)).toEqual(["meanwhile"]);
  });

  it("gets the same again when the event comes again", async () => {
    await say("first");
    await tell(event("connected", "b1", 1));
    await say("second");
    await tell(event("connected", "b1", 1));
    const late = im.received.filter(({ record }) => record.targetConnectionIds.length > 0);
    expect(late.map(({ record }) => record.content)).toEqual(["first", "first"]);
  });
});

it("skips events that cannot be read", async () => {
  const good = { event: "connected", user_id: bob, gateway_id: "g1", connection_id: "b1" };
  const bad = [
    { ...good, event: "sneezed" },
    { ...good, user_id: "" },
    { ...good, gateway_id: "" },
    { ...good, connection_id: "" },
  ];
  for (const value of ["{", ...bad.map((part) => JSON.stringify(part)), JSON.stringify(good)]) {
    await im.sendBytes("user-events", bob, value);
  }
  await im.settled();
  expect(await reached()).toEqual(["g1"]);
  expect(im.logic.counts.poisonRecords).toBe(5);
});

it("survives a restart, as all that was stored does", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  try {
    const first = await startLogic({ dataDir: join(dataDir, "new") });
    const [alice, ben] = [await first.person("Alice"), await first.person("Ben")];
    const groupId = await first.groupOf(alice, ben);
    const record = {
      userId: alice,
      conversationId: groupId,
      content: "x",
      clientMsgId: "c1",
      messageType: MessageType.TEXT,
    };
    await first.sendUserEvents(event("connected", "b1", 1, { userId: ben }));
    await first.sendUserEvents(event("disconnected", "b2", 3, { userId: ben }));
    await first.sendUpstream(record);
    await first.settled();
    const [before] = first.received;
    await first.stop();

    const second = await startLogic({ dataDir: join(dataDir, "new"), bus: first.bus });
    await second.sendUserEvents(event("connected", "b2", 2, { userId: ben, gatewayId: "g1" }));
    await second.sendUpstream(record);
    await second.settled();
    expect(second.received).toHaveLength(1);
    expect(second.received[0]?.record).toMatchObject({ messageId: before?.record.messageId, seqId: 1n });
    expect(await second.user.getMe({ callerId: ben })).toMatchObject({ nickname: "Ben" });
    await second.stop();
  } finally {
    await rm(dataDir, { recursive: true });
  }
});

describe("what is known in the end", () => {
  const gateways = ["g1", "g2"];

  /** Two lives of two gateways: connections come, some are told anew, some go. Told in order, each life has its own seqs. */
  function history(random: () => number): Event[] {
    const events: Event[] = [];
    for (const gatewayId of gateways) {
      let seq = 0;
      for (const gatewayEpoch of [1n, 2n]) {
        const here: string[] = [];
        for (let step = 0; step < 12; step++) {
          seq += 1;
          const connectionId = here[Math.floor(random() * here.length)];
          const what = random();
          if (connectionId === undefined || what < 0.5) {
            here.push(`${gatewayId} ${seq}`);
            events.push(event("connected", `${gatewayId} ${seq}`, seq, { gatewayId, gatewayEpoch }));
          } else if (what < 0.7) {
            events.push(event("connected", connectionId, seq, { gatewayId, gatewayEpoch }));
          } else {
            here.splice(here.indexOf(connectionId), 1);
            events.push(event("disconnected", connectionId, seq, { gatewayId, gatewayEpoch }));
          }
        }
      }
    }
    return events;
  }

  /** The contract's set, by its definition. */
  function gatewaysWithConnections(events: readonly Event[]): string[] {
    return gateways.filter((gatewayId) => {
      const mine = events.filter((one) => one.gatewayId === gatewayId);
      const epoch = mine.reduce(
        (highest, { gatewayEpoch = 0n }) => (gatewayEpoch > highest ? gatewayEpoch : highest),
        0n,
      );
      const last = new Map<string, Event>();
      for (const one of mine.filter(({ gatewayEpoch }) => gatewayEpoch === epoch)) {
        const known = last.get(one.connectionId ?? "");
        if (known === undefined || (one.seq ?? 0n) > (known.seq ?? 0n)) {
          last.set(one.connectionId ?? "", one);
        }
      }
      return [...last.values()].some((one) => one.event === "connected");
    });
  }

  it.each(Array.from({ length: 30 }, (_, seed) => seed + 1))(
    "depends on what was told, not on its order or how often (%i)",
    async (seed) => {
      const random = randomBy(seed);
      const told = history(random).filter(() => random() < 0.9);
      const again = told.filter(() => random() < 0.3);
      const shuffled = [...told, ...again]
        .map((one) => ({ one, place: random() }))
        .sort((a, b) => a.place - b.place)
        .map(({ one }) => one);
      await tell(...shuffled);
      expect((await reached()).sort()).toEqual(gatewaysWithConnections(told));
      nowMs += 60_000;
      const { presences } = await im.user.listPresences({ callerId: bob, userIds: [bob] });
      expect(presences[0]?.online).toBe(gatewaysWithConnections(told).length > 0);
    },
  );
});

/** The same numbers, 0 to 1, for the same seed. */
function randomBy(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
