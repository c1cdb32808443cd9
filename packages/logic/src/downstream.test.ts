import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { failure, type Producer } from "@im-gateway/core";
import { MessageType } from "@im-gateway/proto";
import { decodeJwt } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import { startLogic, type TestLogic, until } from "../test/start-logic.ts";
import { longWaitMs } from "./downstream.ts";
import { createOutbox, maxAgeMs, maxRecordsPerTopic } from "./outbox.ts";
import { openStore } from "./store.ts";

/** What every `send` of a producer meets; undefined lets it through. */
interface Weather {
  failWith: (topic: string) => Code | undefined;
}

function under(weather: Weather): (producer: Producer) => Producer {
  return (producer) => ({
    send: async (record) => {
      const code = weather.failWith(record.topic);
      if (code !== undefined) {
        throw failure(code, "TEST", "the test says no");
      }
      await producer.send(record);
    },
    close: () => producer.close(),
  });
}

const running: TestLogic[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((im) => im.stop()));
});

interface Scene {
  readonly im: TestLogic;
  readonly say: (...contents: string[]) => Promise<void>;
  /** The contents that a gateway got, in order. */
  readonly heard: (gatewayId: string) => string[];
}

/** Ada on g1, Bob on the given gateway; Ada talks. */
async function scene(gatewayOfBob: string, options: Parameters<typeof startLogic>[0] = {}): Promise<Scene> {
  const im = await startLogic(options);
  running.push(im);
  const [ada, bob] = [await im.person("Ada"), await im.person("Bob")];
  const conversationId = await im.groupOf(ada, bob);
  await im.sendUserEvents(
    { event: "connected", userId: ada, gatewayId: "g1", connectionId: "a1", seq: 1n },
    { event: "connected", userId: bob, gatewayId: gatewayOfBob, connectionId: "b1", seq: 1n },
  );
  await im.settled();
  return {
    im,
    async say(...contents) {
      for (const content of contents) {
        const record = { userId: ada, conversationId, content, messageType: MessageType.TEXT };
        await im.sendUpstream({ ...record, clientMsgId: `c ${content}`, gatewayId: "g1", connectionId: "a0" });
      }
      await im.settled();
    },
    heard: (gatewayId) =>
      im.received
        .filter((received) => received.gatewayId === gatewayId && received.record.type === "")
        .map(({ record }) => record.content),
  };
}

describe("a gateway whose topic is not there", () => {
  const long = "records have waited long in the outbox";

  it("is no warning while it may be new; one when its records wait long, and only one", async () => {
    let aheadMs = 0;
    let tries = 0;
    const failWith = (topic: string): undefined => {
      tries += topic === "downstream-g9" ? 1 : 0;
    };
    const { im, say } = await scene("g9", { now: () => Date.now() + aheadMs, wrapProducer: under({ failWith }) });
    await say("one");
    expect(im.logLines).toMatchObject([
      {
        level: "info",
        message: "records wait for a gateway to make its topic",
        fields: { topics: ["downstream-g9"] },
      },
    ]);
    const warnings = () => im.logLines.filter(({ level }) => level === "warn");
    aheadMs = longWaitMs + 1;
    await until(() => warnings().length > 0, "the warning");
    expect(warnings()).toMatchObject([{ message: long, fields: { topic: "downstream-g9" } }]);
    expect(String(warnings()[0]?.fields.error)).toContain("there is no topic downstream-g9");
    const then = tries;
    await until(() => tries > then + 1, "one more try and its end");
    expect(warnings()).toHaveLength(1);
  });

  it("does not stop the others, and gets everything in order when it is back", async () => {
    const { im, say, heard } = await scene("g9");
    await say("one", "two");
    await say("three");
    expect(heard("g1")).toEqual(["one", "two", "three"]);
    await im.addGateway("g9");
    await say("four");
    await until(() => heard("g9").length >= 4, "what waited");
    await say("five");
    expect(heard("g9")).toEqual(["one", "two", "three", "four", "five"]);
    expect(im.logic.counts).toMatchObject({ storedMessages: 5, repeatedMessages: 0, droppedRecords: 0 });
  });
});

describe("an outage of Kafka", () => {
  it("is a warning at once", async () => {
    const weather: Weather = { failWith: () => undefined };
    const { im, say } = await scene("g2", { wrapProducer: under(weather) });
    weather.failWith = () => Code.Unavailable;
    await say("one");
    expect(im.logLines.filter(({ level }) => level !== "warn")).toEqual([]);
    expect(im.logLines).toMatchObject([{ message: "records wait in the outbox" }]);
  });

  it.each([Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted])("loses nothing (%i)", async (code) => {
    const weather: Weather = { failWith: () => undefined };
    const { im, say, heard } = await scene("g2", { wrapProducer: under(weather) });
    weather.failWith = () => code;
    await say("one", "two");
    expect(im.received).toEqual([]);
    weather.failWith = () => undefined;
    await until(() => im.received.length >= 6, "what waited");
    await say("three");
    expect(heard("g1")).toEqual(["one", "two", "three"]);
    expect(heard("g2")).toEqual(["one", "two", "three"]);
    const stored = im.received.filter(({ record }) => record.type === "message-stored");
    expect(stored.map(({ record }) => record.clientMsgId)).toEqual(["c one", "c two", "c three"]);
  });

  it("may last longer than im-logic", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
    try {
      const weather: Weather = { failWith: () => Code.Unavailable };
      const { im, say } = await scene("g2", { dataDir, wrapProducer: under(weather) });
      await say("one");
      await im.stop();
      running.splice(0);
      const later = await startLogic({ dataDir, bus: im.bus });
      running.push(later);
      const [record] = await later.waitFor(1, ({ gatewayId }) => gatewayId === "g2");
      expect(record).toMatchObject({ content: "one", seqId: 1n });
      expect(later.received.every(({ headers }) => headers.traceparent === "00-trace")).toBe(true);
      await later.stop();
      running.splice(0);
    } finally {
      await rm(dataDir, { recursive: true });
    }
  });
});

describe("an outage that is longer than the outbox", () => {
  it("is told to everybody on the gateway, after what was kept, and what was revoked is told again", async () => {
    const weather: Weather = { failWith: () => undefined };
    const { im, say, heard } = await scene("g2", { wrapProducer: under(weather) });
    weather.failWith = (topic) => (topic === "downstream-g2" ? Code.Unavailable : undefined);
    const { accessToken, user } = await im.auth.guest({});
    const sessionId = String(decodeJwt(accessToken).sid);
    await im.auth.logout({ callerId: user?.userId ?? "", sessionId });
    const contents = Array.from({ length: maxRecordsPerTopic + 2 }, (_, index) => String(index));
    // The bus of the tests holds no more at once.
    for (let first = 0; first < contents.length; first += 1000) await say(...contents.slice(first, first + 1000));
    weather.failWith = () => undefined;
    const told = ({ gatewayId, record }: (typeof im.received)[number]): boolean =>
      gatewayId === "g2" && record.type === "resync-required";
    await until(() => im.received.some(told), "resync-required");
    expect(heard("g2").slice(0, 2)).toEqual(["2", "3"]);
    const isRevocation = ({ gatewayId, record }: (typeof im.received)[number]): boolean =>
      gatewayId === "g2" && record.type === "revoke";
    await until(() => im.received.some(isRevocation), "the revocation");
    expect(im.received.find(isRevocation)?.record.sid).toBe(sessionId);
    const ofBob = im.received.filter((received) => received.gatewayId === "g2" && !isRevocation(received));
    expect(ofBob.map(told).lastIndexOf(false)).toBeLessThan(ofBob.findIndex(told));
    expect(ofBob.find(told)?.record).toMatchObject({ broadcast: true, data: { reason: "RECORDS_DROPPED" } });
    await say("last");
    expect(heard("g2").at(-1)).toBe("last");
    expect(im.received.filter(told)).toHaveLength(1);
  }, 60_000);
});

describe("a record that Kafka never takes", () => {
  it("is dropped, counted and logged", async () => {
    const failWith = (topic: string): Code | undefined =>
      topic === "downstream-g2" ? Code.InvalidArgument : undefined;
    const { im, say, heard } = await scene("g2", { wrapProducer: under({ failWith }) });
    // Not through g2's weather: the markers of `settled` go by another producer.
    await say("one");
    expect(heard("g1")).toEqual(["one"]);
    expect(im.logic.counts.droppedRecords).toBe(1);
    expect(im.logLines).toMatchObject([{ level: "error", fields: { topic: "downstream-g2" } }]);
  });
});

describe("the outbox", () => {
  it("is bounded in records and in time", () => {
    let nowMs = 0;
    const store = openStore();
    const outbox = createOutbox(store, () => nowMs);
    const records = Array.from({ length: maxRecordsPerTopic + 3 }, (_, index) => ({
      topic: "full",
      key: `key ${index}`,
      value: new Uint8Array([index % 256]),
    }));
    expect(outbox.add([...records, { topic: "other", key: "k", value: new Uint8Array() }])).toBe(3);
    expect(outbox.oldest("full", 1)).toMatchObject([{ key: "key 3", value: new Uint8Array([3]), headers: {} }]);
    expect(outbox.topics().sort()).toEqual(["full", "other"]);
    nowMs += maxAgeMs;
    outbox.add([{ topic: "new", key: "k", value: new Uint8Array(), headers: { a: "b" } }]);
    expect(outbox.expire()).toBe(0);
    nowMs += 1;
    expect(outbox.expire()).toBe(maxRecordsPerTopic + 1);
    expect(outbox.topics()).toEqual(["new"]);
    store.close();
  });
});
