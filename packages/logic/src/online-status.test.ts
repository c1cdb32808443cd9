// Who is told that somebody comes and goes, when, and how often.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { failure, type Producer } from "@im-gateway/core";
import { ConversationType } from "@im-gateway/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startLogic, type TestLogic, until } from "../test/start-logic.ts";
import { maxAnnouncedMembers } from "./presences.ts";

let nowMs: number;
let im: TestLogic;
let seq: number;
/** What becomes of records for the gateways. */
let kafkaTakes: boolean;
let refused: number;

const wrapProducer = (producer: Producer): Producer => ({
  ...producer,
  async send(record) {
    if (!kafkaTakes && record.topic.startsWith("downstream-")) {
      refused += 1;
      throw failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "away");
    }
    await producer.send(record);
  },
});

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  seq = 0;
  kafkaTakes = true;
  refused = 0;
  im = await startLogic({ now: () => nowMs, wrapProducer });
});
afterEach(() => im.stop());

async function tell(
  event: "connected" | "disconnected",
  userId: string,
  connectionId: string,
  part: { gatewayId?: string; gatewayEpoch?: bigint } = {},
): Promise<void> {
  seq += 1;
  const timestamp = BigInt(Math.floor(nowMs / 1000));
  const place = { gatewayId: "g1", gatewayEpoch: 1n, seq: BigInt(seq) };
  await im.sendUserEvents({ event, userId, connectionId, timestamp, ...place, ...part });
}

const befriend = async (one: string, other: string): Promise<void> => {
  await im.friend.createFriendRequest({ callerId: one, userId: other });
  await im.friend.createFriendRequest({ callerId: other, userId: one });
};

/** online-status frames about this user, to these people. */
function statuses(about: string, from: TestLogic = im): unknown[] {
  return from.received
    .filter(({ record }) => record.type === "online-status" && record.data?.user_id === about)
    .map(({ record }) => [record.data?.online, record.targetUserIds.toSorted()]);
}

/** Announcements are made in the order in which they are due: what was due before now has been made after this. */
async function announced(gatewayId = "g1"): Promise<void> {
  await im.settled();
  const [watcher, comer] = [await im.person("Watcher"), await im.person("Comer")];
  await befriend(watcher, comer);
  await tell("connected", watcher, watcher, { gatewayId });
  await tell("connected", comer, comer, { gatewayId });
  await until(() => statuses(comer).length > 0, "an announcement");
}

describe("a friend", () => {
  let ada: string;
  let bob: string;
  beforeEach(async () => {
    [ada, bob] = [await im.person("Ada"), await im.person("Bob")];
    await befriend(ada, bob);
    await tell("connected", ada, "a1", { gatewayId: "g2" });
    await announced();
  });

  it("is told at once when the first device comes, and once when the last has been gone for three seconds", async () => {
    await tell("connected", bob, "b1");
    await tell("connected", bob, "b2", { gatewayId: "g2" });
    await announced();
    const frame = { type: "online-status", data: { user_id: bob, online: true, last_seen: 0 } };
    const [first] = im.received.filter(({ record }) => record.data?.user_id === bob);
    expect(first).toMatchObject({ gatewayId: "g2", record: { ...frame, targetUserIds: [ada] } });
    await tell("disconnected", bob, "b2", { gatewayId: "g2" });
    nowMs += 60_000;
    await announced();
    expect(statuses(bob)).toEqual([[true, [ada]]]);
    const lastSeen = nowMs / 1000;
    await tell("disconnected", bob, "b1");
    await im.settled();
    nowMs += 2999;
    await announced();
    expect(statuses(bob)).toEqual([[true, [ada]]]);
    nowMs += 1;
    await announced();
    nowMs += 60_000;
    await announced();
    expect(statuses(bob)).toEqual([
      [true, [ada]],
      [false, [ada]],
    ]);
    expect(im.received.findLast(({ record }) => record.data?.user_id === bob)?.record.data?.last_seen).toBe(lastSeen);
  });

  it("hears nothing of who is back in time, or hops between gateways", async () => {
    await tell("connected", bob, "b1");
    await announced();
    for (let hop = 1; hop <= 3; hop++) {
      await tell("disconnected", bob, `b${hop}`, { gatewayId: hop % 2 === 1 ? "g1" : "g2" });
      await im.settled();
      nowMs += 2000;
      await tell("connected", bob, `b${hop + 1}`, { gatewayId: hop % 2 === 1 ? "g2" : "g1" });
      await announced();
    }
    nowMs += 60_000;
    await announced();
    expect(statuses(bob)).toEqual([[true, [ada]]]);
  });

  it("hears nothing of a gateway's new epoch whose connections are told anew", async () => {
    await tell("connected", bob, "b1");
    await announced();
    await tell("connected", await im.person("Eve"), "e1", { gatewayEpoch: 2n });
    await im.settled();
    nowMs += 9000;
    await announced("g2");
    await tell("connected", bob, "b1", { gatewayEpoch: 2n });
    await im.settled();
    nowMs += 60_000;
    await announced("g2");
    expect(statuses(bob)).toEqual([[true, [ada]]]);
  });

  it("is told again when Kafka did not take it, of the state as it is then", async () => {
    kafkaTakes = false;
    await tell("connected", bob, "b1");
    await until(() => refused > 0, "a record to be refused");
    kafkaTakes = true;
    nowMs += 1000;
    await until(() => statuses(bob).length > 0, "the announcement");
    expect(statuses(bob)).toEqual([[true, [ada]]]);
  });
});

it("is told to friends, direct conversations and small groups, not to who blocks or is blocked, nor in large groups", async () => {
  const bob = await im.person("Bob");
  const names = ["friend", "peer", "member", "blocking", "blocked", "stranger", "crowd"] as const;
  const ids = new Map<string, string>();
  for (const name of names) {
    ids.set(name, await im.person(name));
  }
  const id = (name: (typeof names)[number]): string => ids.get(name) ?? "";
  for (const name of ["friend", "blocking", "blocked"] as const) {
    await befriend(id(name), bob);
  }
  await im.friend.blockFriend({ callerId: id("blocking"), userId: bob });
  await im.friend.blockFriend({ callerId: bob, userId: id("blocked") });
  const request = { callerId: id("peer"), type: ConversationType.DIRECT, memberIds: [bob] };
  await im.conversation.createConversation(request);
  const extras = await Promise.all(Array.from({ length: maxAnnouncedMembers - 2 }, (_, n) => im.person(`p${n}`)));
  await im.groupOf(id("member"), bob, ...extras);
  await im.groupOf(id("crowd"), bob, await im.person("One More"), ...extras);
  for (const name of names) {
    await tell("connected", id(name), name, { gatewayId: "g2" });
  }
  await tell("connected", bob, "b1");
  await announced();
  expect(statuses(bob)).toEqual([[true, [id("friend"), id("peer"), id("member")].sort()]]);
});

it("stays within its bound, and who is announced late is announced as they are then", async () => {
  const [owner, ...others] = await Promise.all(Array.from({ length: 150 }, (_, n) => im.person(`p${n}`)));
  await im.groupOf(owner ?? "", ...others);
  await im.sendUserEvents(
    ...others.map((userId, index) => ({
      ...{ event: "connected", userId, connectionId: userId, gatewayId: "g1", gatewayEpoch: 1n },
      seq: BigInt(index + 1),
    })),
  );
  const told = (): number =>
    im.received.reduce(
      (sum, { record }) => sum + (record.type === "online-status" ? record.targetUserIds.length : 0),
      0,
    );
  await im.settled();
  await until(() => told() >= 1000, "the credit to be spent");
  const late = others.filter((userId) => statuses(userId).length === 0);
  expect(late.length).toBeGreaterThan(100);
  // They are gone again before it was their turn.
  for (const userId of late) {
    seq = 1000;
    await tell("disconnected", userId, userId);
  }
  await im.settled();
  expect(told()).toBeLessThan(1000 + 150);
  nowMs += 10_000;
  await announced();
  expect(late.flatMap((userId) => statuses(userId))).toEqual([]);
});

it("what is owed is announced after a restart", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  const unused = im;
  try {
    im = await startLogic({ dataDir: join(dataDir, "new"), now: () => nowMs });
    const [ada, bob] = [await im.person("Ada"), await im.person("Bob")];
    await befriend(ada, bob);
    await tell("connected", ada, "a1");
    await tell("connected", bob, "b1");
    await announced();
    await tell("disconnected", bob, "b1");
    await im.settled();
    await im.stop();
    expect(statuses(bob)).toEqual([[true, [ada]]]);
    nowMs += 60_000;
    im = await startLogic({ dataDir: join(dataDir, "new"), now: () => nowMs, bus: im.bus });
    await announced();
    // What came meanwhile is read first.
    expect(statuses(bob)).toEqual([]);
    nowMs += 3000;
    await announced();
    expect(statuses(bob)).toEqual([[false, [ada]]]);
  } finally {
    await im.stop();
    im = unused;
    await rm(dataDir, { recursive: true });
  }
});
