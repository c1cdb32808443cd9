// What becomes of a gateway's connections and topic when its key is gone.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { failure, type Registration, type Registry, type ServiceInstance } from "@im-gateway/core";
import { createMemoryRegistry } from "@im-gateway/core/memory";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startLogic, type TestLogic, until } from "../test/start-logic.ts";

let nowMs: number;
let registry: Registry;
/** As told by a registry that is cut off, and back. */
let setWorking: (working: boolean) => void;
let im: TestLogic;
let ada: string;
let seq: number;
let removed: string[];
let removing: "works" | "fails";

const forever = new AbortController().signal;
const instance = (id: string): ServiceInstance => ({ id, name: "im-gateway", address: "h", port: 1, metadata: {} });

beforeEach(async () => {
  nowMs = Date.UTC(2026, 0, 1);
  seq = 0;
  removed = [];
  removing = "works";
  registry = createMemoryRegistry();
  im = await begin();
  ada = await im.person("Ada");
});
afterEach(() => im.stop());

function begin(options: { dataDir?: string } = {}): Promise<TestLogic> {
  return startLogic({
    ...options,
    now: () => nowMs,
    registry: {
      watch(name, onChange, signal, onWorking) {
        setWorking = (working) => onWorking?.(working);
        return registry.watch(name, onChange, signal, onWorking);
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
  const place = { gatewayId, gatewayEpoch: 1n, seq: BigInt(seq), timestamp };
  await im.sendUserEvents({ event: "connected", userId: ada, connectionId, ...place });
  await im.settled();
}

async function presence(): Promise<{ online: boolean; lastSeen: number }> {
  const { presences } = await im.user.listPresences({ callerId: ada, userIds: [ada] });
  return { online: presences[0]?.online ?? false, lastSeen: Number(presences[0]?.lastSeen) };
}

/** The gateways that were counted as dead, in order. All are looked at together: when one has ended, the others were spared. */
function ended(from: TestLogic = im): unknown[] {
  return from.logLines
    .filter(({ message }) => message.startsWith("a gateway's key is gone"))
    .map(({ fields }) => fields.of_gateway);
}

async function untilEnded(...gatewayIds: readonly string[]): Promise<void> {
  await until(() => ended().length >= gatewayIds.length, `the end of ${gatewayIds.join(", ")}`);
  expect(ended()).toEqual(gatewayIds);
}

async function register(gatewayId: string): Promise<Registration> {
  return registry.register(instance(gatewayId), forever);
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

it("asks every gateway for its connections at the start, and later those that it does not know", async () => {
  const asked = (from: TestLogic): unknown[] =>
    from.received.filter(({ record }) => record.type === "assert").map(({ gatewayId }) => gatewayId);
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  const unused = im;
  try {
    const g1 = await register("g1");
    im = await begin({ dataDir: join(dataDir, "new") });
    await until(() => asked(im).length >= 1, "g1 to be asked");
    await g1.release();
    await register("g1");
    await register("g2");
    await until(() => asked(im).length >= 2, "g2 to be asked");
    expect(asked(im)).toEqual(["g1", "g2"]);
    ada = await im.person("Ada");
    await connect("a1", "g3");
    await im.stop();
    im = await begin({ dataDir: join(dataDir, "new") });
    await until(() => asked(im).length >= 2, "both to be asked");
    expect(asked(im).toSorted()).toEqual(["g1", "g2"]);
    // Of an earlier life, and its key is not there.
    nowMs += 10_000;
    await untilEnded("g3");
  } finally {
    await im.stop();
    im = unused;
    await rm(dataDir, { recursive: true });
  }
});
