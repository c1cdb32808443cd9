// What becomes of a gateway's connections and topic when its key is gone.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { failure, type Registration, type Registry, type ServiceInstance } from "@im-gateway/core";
import { createMemoryRegistry } from "@im-gateway/core/memory";
import { decodeJwt } from "jose";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startLogic, type TestLogic, until } from "../test/start-logic.ts";

let dataDir: string;
let nowMs: number;
let registry: Registry;
/** Changes are not seen, as when one claim takes the place of another. */
let unseen: boolean;
/** As told by a registry that is cut off, and back. */
let setWorking: (working: boolean) => void;
let im: TestLogic;
let ada: string;
let seq: number;
let removed: string[];
let removing: "works" | "fails";
/** What becomes of im-logic's records. */
let kafka: "takes" | "hangs";
/** The epoch that each gateway's events carry: that of its last claim. */
let epochs: Map<string, number>;

const forever = new AbortController().signal;
const instance = (id: string, process: string): ServiceInstance => ({
  id,
  name: "im-gateway",
  address: "h",
  port: 1,
  metadata: { instance: process },
});

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  nowMs = Date.UTC(2026, 0, 1);
  seq = 0;
  unseen = false;
  removed = [];
  removing = "works";
  kafka = "takes";
  epochs = new Map();
  registry = createMemoryRegistry();
  im = await begin();
  ada = await im.person("Ada");
});
afterEach(async () => {
  await im.stop();
  await rm(dataDir, { recursive: true });
});

function begin(): Promise<TestLogic> {
  return startLogic({
    dataDir,
    now: () => nowMs,
    wrapProducer: (producer) => ({
      ...producer,
      send: (record) => (kafka === "takes" ? producer.send(record) : new Promise(() => {})),
    }),
    registry: {
      watch(name, onChange, signal, onWorking) {
        setWorking = (working) => onWorking?.(working);
        const seen: typeof onChange = (...change) => unseen || onChange(...change);
        return registry.watch(name, seen, signal, onWorking);
      },
    },
    async removeTopic(name) {
      if (removing === "fails") {
        throw failure(Code.Unavailable, "KAFKA_UNAVAILABLE", "away");
      }
      removed.push(name);
    },
  });
}

async function connect(connectionId: string, gatewayId: string): Promise<void> {
  seq += 1;
  const timestamp = BigInt(Math.floor(nowMs / 1000));
  const place = { gatewayId, gatewayEpoch: BigInt(epochs.get(gatewayId) ?? 1), seq: BigInt(seq), timestamp };
  await im.sendUserEvents({ event: "connected", userId: ada, connectionId, ...place });
  await im.settled();
}

async function presence(): Promise<{ online: boolean; lastSeen: number }> {
  const { presences } = await im.user.listPresences({ callerId: ada, userIds: [ada] });
  return { online: presences[0]?.online ?? false, lastSeen: Number(presences[0]?.lastSeen) };
}

/** The gateways that were counted as dead, in order. All are looked at together: when one has ended, the others were spared. */
function ended(): unknown[] {
  return im.logLines
    .filter(({ message }) => message.startsWith("a gateway's key is gone"))
    .map(({ fields }) => fields.of_gateway);
}

async function untilEnded(...gatewayIds: readonly string[]): Promise<void> {
  await until(() => ended().length >= gatewayIds.length, `the end of ${gatewayIds.join(", ")}`);
  expect(ended()).toEqual(gatewayIds);
}

async function register(gatewayId: string, process = gatewayId): Promise<Registration> {
  const registration = await registry.register(instance(gatewayId, process), forever);
  epochs.set(gatewayId, registration.epoch);
  return registration;
}

/** @param meanwhile done while there is no im-logic */
async function restart(meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  await im.stop();
  await meanwhile();
  im = await begin();
}

/** @returns the session that it ended */
async function logOut(): Promise<string> {
  const { accessToken, user } = await im.auth.guest({});
  const sessionId = String(decodeJwt(accessToken).sid);
  await im.auth.logout({ callerId: user?.userId ?? "", sessionId });
  return sessionId;
}

/** The gateways that have got such a record, in order. */
function told(type: string): string[] {
  return im.received.filter(({ record }) => record.type === type).map(({ gatewayId }) => gatewayId);
}

/** The gateways of which what an earlier process left was ended, with how many connections. */
function begunAnew(): unknown[] {
  return im.logLines
    .filter(({ message }) => message.startsWith("a gateway has begun anew"))
    .map(({ fields }) => [fields.of_gateway, fields.connections]);
}

/** Gateway and session of each revocation. */
function revoked(): string[] {
  return im.received
    .filter(({ record }) => record.type === "revoke")
    .map(({ gatewayId, record }) => `${gatewayId} ${record.sid}`);
}

async function untilRevoked(expected: readonly string[]): Promise<void> {
  await until(() => revoked().length >= expected.length, expected.join());
  expect(revoked().toSorted()).toEqual(expected.toSorted());
}

it("ends a gateway's connections when its key has been absent for ten seconds, not before", async () => {
  const gateways = [await register("g1"), await register("g2"), await register("g3")];
  await connect("a1", "g1");
  await connect("a2", "g2");
  await connect("a3", "g3");
  const goneAt = nowMs;
  await gateways[0]?.release();
  await gateways[1]?.release();
  nowMs += 1;
  await gateways[2]?.release();
  nowMs = goneAt + 9999;
  await register("g2");
  nowMs = goneAt + 10_000;
  await untilEnded("g1");
  expect(await presence()).toEqual({ online: true, lastSeen: 0 });
  nowMs += 1;
  await untilEnded("g1", "g3");
  // Still connected at g2.
  nowMs += 60_000;
  expect(await presence()).toEqual({ online: true, lastSeen: 0 });
});

it("counts the user as gone since the key went", async () => {
  const g1 = await register("g1");
  await connect("a1", "g1");
  nowMs += 5000;
  const goneAt = nowMs;
  await g1.release();
  nowMs += 10_000;
  await untilEnded("g1");
  expect(await presence()).toEqual({ online: true, lastSeen: goneAt / 1000 });
  nowMs += 3000;
  expect(await presence()).toEqual({ online: false, lastSeen: goneAt / 1000 });
});

it("ends also what a gateway without a key says later, ten seconds after", async () => {
  const g1 = await register("g1");
  await connect("a1", "g1");
  await g1.release();
  nowMs += 10_000;
  await untilEnded("g1");
  await connect("a2", "g1");
  nowMs += 10_000;
  await untilEnded("g1", "g1");
  nowMs += 3000;
  expect((await presence()).online).toBe(false);
});

it("ends what an earlier process left, when the next one of that id has told of nothing for ten seconds", async () => {
  const ids = ["g1", "g2", "g3", "g4", "g5"];
  const earlier = new Map<string, Registration>();
  for (const id of ids) {
    earlier.set(id, await register(id, "one"));
    await connect(`a-${id}`, id);
  }
  // It drains when it is seen first: its key's revision is later than its epoch, though it lives.
  unseen = true;
  await earlier.get("g4")?.release();
  const draining = await register("g4", "two");
  await connect("b-g4", "g4");
  await draining.update({ instance: "two", state: "draining" });
  unseen = false;
  // The same process has claimed its key anew, and has not told of its connections yet.
  await earlier.get("g5")?.release();
  await register("g5", "one");
  await restart();
  const begunAt = nowMs;
  const beginAnew = async (id: string): Promise<void> => {
    unseen = true;
    await earlier.get(id)?.release();
    unseen = false;
    await register(id, "two");
  };
  await beginAnew("g3");
  await beginAnew("g2");
  await connect("b-g2", "g2");
  nowMs = begunAt + 1;
  await beginAnew("g1");
  nowMs = begunAt + 10_000;
  await until(() => begunAnew().length >= 1, "the end of g3's earlier connection");
  expect(begunAnew()).toEqual([["g3", 1]]);
  nowMs = begunAt + 10_001;
  await until(() => begunAnew().length >= 2, "the end of g1's earlier connection");
  expect(begunAnew()).toEqual([
    ["g3", 1],
    ["g1", 1],
  ]);
  expect(ended()).toEqual([]);
});

it("passes over what a dead process told late, also when im-logic began anew before it looked", async () => {
  const first = await register("g1", "one");
  await connect("a1", "g1");
  await first.release();
  await register("g1", "two");
  await restart();
  nowMs += 10_000;
  await until(() => begunAnew().length >= 1, "the end of the earlier connection");
  epochs.set("g1", first.epoch);
  await connect("late", "g1");
  nowMs += 3000;
  expect(await presence()).toMatchObject({ online: false });
});

it("tells a gateway that begins anew or was away what is revoked, until the tokens have ended", async () => {
  const [g1, g2] = [await register("g1", "one"), await register("g2", "one")];
  await until(() => told("assert").length >= 2, "both to be known");
  const first = await logOut();
  await untilRevoked([`g1 ${first}`, `g2 ${first}`]);

  await connect("a1", "g1");
  await g1.release();
  nowMs += 10_000;
  await untilEnded("g1");
  const second = await logOut();
  // Kafka may tell of its new epoch before etcd does.
  epochs.set("g1", g1.epoch + 1);
  await connect("a2", "g1");
  const back = await register("g1", "one");
  const whatG1Missed = [`g2 ${second}`, `g1 ${second}`, `g1 ${first}`];
  await untilRevoked([`g1 ${first}`, `g2 ${first}`, ...whatG1Missed]);

  await restart();
  await until(() => told("assert").length >= 2, "both to be asked");
  await im.settled();
  expect(revoked()).toEqual([]);
  await g2.release();
  await register("g2", "two");
  await untilRevoked([`g2 ${second}`, `g2 ${first}`]);

  nowMs += 50_001;
  await restart(async () => {
    await back.release();
    await register("g1", "two");
  });
  await untilRevoked([`g1 ${second}`]);
});

it("tells what an im-logic that died had still to tell", async () => {
  const [, g2] = [await register("g1"), await register("g2")];
  await until(() => told("assert").length >= 2, "both to be known");
  await connect("a2", "g2");
  await g2.release();
  nowMs += 10_000;
  await untilEnded("g2");
  kafka = "hangs";
  const session = await logOut();
  kafka = "takes";
  await restart();
  await untilRevoked([`g1 ${session}`]);
  await im.settled();
  await restart();
  await until(() => told("assert").length >= 1, "g1 to be asked");
  await im.settled();
  expect(revoked()).toEqual([]);
  await restart(async () => {
    await register("g2");
  });
  await untilRevoked([`g2 ${session}`]);
});

const dayMs = 24 * 60 * 60 * 1000;

it("counts anew when the watch has not worked; deletes a topic a day after its gateway's key went", async () => {
  const [old, g1] = [await register("old"), await register("g1")];
  await connect("a1", "old");
  await connect("a2", "g1");
  const goneAt = nowMs;
  await old.release();
  nowMs = goneAt + 10_000;
  await untilEnded("old");

  setWorking(false);
  await g1.release();
  nowMs = goneAt + dayMs - 9999;
  setWorking(true);
  nowMs = goneAt + dayMs - 1;
  removing = "fails";
  nowMs = goneAt + dayMs;
  const complaints = (): number => im.logLines.filter(({ message }) => message.includes("could not be deleted")).length;
  await until(() => complaints() === 1, "a topic that can not be deleted");
  expect(ended()).toEqual(["old"]);
  removing = "works";
  nowMs += 1;
  await untilEnded("old", "g1");
  expect([removed, complaints()]).toEqual([[], 1]);
  nowMs += 60_000;
  await until(() => removed.length > 0, "a topic to be deleted");
  // Once, and not that of the other one, whose day begins with its own absence.
  await connect("a3", "g1");
  nowMs = goneAt + dayMs - 9999 + dayMs - 1;
  await untilEnded("old", "g1", "g1");
  expect(removed).toEqual(["downstream-old"]);
  nowMs += 1;
  await until(() => removed.length > 1, "another topic to be deleted");
  expect(removed).toEqual(["downstream-old", "downstream-g1"]);
});

it("deletes no topic of a gateway that came back", async () => {
  const [g1, g2] = [await register("g1"), await register("g2")];
  await connect("a1", "g2");
  const goneAt = nowMs;
  await g1.release();
  await g2.release();
  nowMs += 10_000;
  await untilEnded("g2");
  await (await register("g1")).release();
  nowMs = goneAt + dayMs;
  await until(() => removed.length > 0, "the other's topic to be deleted");
  expect(removed).toEqual(["downstream-g2"]);
});

it("asks those that it does not know for their connections, and at the start every gateway", async () => {
  const g1 = await register("g1");
  await until(() => told("assert").length >= 1, "g1 to be asked");
  await g1.release();
  await register("g1");
  await register("g2");
  await until(() => told("assert").length >= 2, "g2 to be asked");
  expect(told("assert")).toEqual(["g1", "g2"]);
  await connect("a1", "g3");
  await restart();
  await until(() => told("assert").length >= 2, "both to be asked");
  expect(told("assert").toSorted()).toEqual(["g1", "g2"]);
  // Of an earlier life, and its key is not there.
  nowMs += 10_000;
  await untilEnded("g3");
});
