// What every bus does, whatever it is made of: the behaviour behind `Producer` and `Consumer`.
import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Consumer,
  type ConsumerRecord,
  type Gap,
  type Producer,
  type RemoveTopic,
  reasonOf,
  type Subscription,
  type Topic,
} from "@im-gateway/core";
import { waitFor } from "@im-gateway/tools/process";
import { afterEach, describe, expect, it } from "vitest";

export interface Bus {
  readonly producer: Producer;
  readonly consumer: Consumer;
  ensureTopics(topics: readonly Topic[], signal: AbortSignal): Promise<void>;
  readonly removeTopic: RemoveTopic;
}

const waitMs = 15_000;

/** @param open a new bus over the same stored records, as a new process would have */
export function busSuite(name: string, open: () => Bus): void {
  describe(name, () => {
    const ends: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const end of ends.splice(0).reverse()) await end();
    });

    function newBus(): Bus {
      const bus = open();
      ends.push(() => bus.producer.close());
      return bus;
    }

    async function newTopic(bus: Bus, partitions = 1): Promise<Topic> {
      const topic = { name: `topic-${randomUUID()}`, partitions };
      await bus.ensureTopics([topic], AbortSignal.timeout(waitMs));
      return topic;
    }

    /** A running subscription that keeps what it gets. */
    function subscribe(bus: Bus, topics: readonly Topic[], options: Partial<Subscription> = {}) {
      const controller = new AbortController();
      const records: ConsumerRecord[] = [];
      const ready: boolean[] = [];
      const ended = bus.consumer.run({
        topics,
        groupId: `group-${randomUUID()}`,
        deliver: (batch) => {
          records.push(...batch);
        },
        onReady: (value) => ready.push(value),
        signal: controller.signal,
        ...options,
      });
      const stop = (): Promise<void> => {
        controller.abort();
        return ended;
      };
      // What it rejects with is for the test to expect.
      ends.push(() => Promise.allSettled([stop()]));
      const has = (count: number): Promise<true> =>
        waitFor(() => records.length >= count, { timeoutMs: waitMs, what: `${count} records` });
      return { records, ready, stop, has, ended };
    }

    it("delivers what was sent: key, value, headers, and offsets that rise", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const value = new Uint8Array([0, 255, 10, 128]);
      await bus.producer.send({
        topic: topic.name,
        key: "会话",
        value,
        headers: { traceparent: "00-1", "source-topic": "ü" },
      });
      await bus.producer.send({ topic: topic.name, key: "", value: new Uint8Array() });
      const { records, has } = subscribe(bus, [topic]);
      await has(2);
      const [first, second] = records;
      expect(first).toMatchObject({ topic: topic.name, partition: 0, offset: "0", key: "会话" });
      expect([...(first?.value ?? [])]).toEqual([...value]);
      expect(first?.headers).toEqual({ traceparent: "00-1", "source-topic": "ü" });
      expect(second).toMatchObject({ offset: "1", key: "", headers: {} });
      expect(second?.value?.byteLength).toBe(0);
    });

    it("creates the topics that a subscriber writes to", async () => {
      const bus = newBus();
      const [mine, others] = [await newTopic(bus), { name: `topic-${randomUUID()}`, partitions: 3 }];
      const { ready } = subscribe(bus, [mine], { alsoCreate: [others] });
      await waitFor(() => ready.at(-1), { timeoutMs: waitMs, what: "the subscription" });
      await bus.producer.send({ topic: others.name, key: "k", value: new Uint8Array([1]) });
      const { has } = subscribe(bus, [others]);
      await has(1);
    });

    it("keeps the order of a key, in one partition, and gives each record to `deliver` once", async () => {
      const bus = newBus();
      const topic = await newTopic(bus, 6);
      const batches: (readonly ConsumerRecord[])[] = [];
      subscribe(bus, [topic], { deliver: (batch) => void batches.push(batch) });
      const keys = Array.from({ length: 20 }, () => randomUUID());
      const sent: Promise<void>[] = [];
      for (let index = 0; index < 2000; index += 1) {
        const key = keys[index % keys.length] ?? "";
        sent.push(bus.producer.send({ topic: topic.name, key, value: Buffer.from(String(index)) }));
      }
      await Promise.all(sent);
      await waitFor(() => batches.flat().length >= 2000, { timeoutMs: waitMs, what: "all records" });
      const records = batches.flat();
      expect(records.length).toBe(2000);
      for (const [at, key] of keys.entries()) {
        const own = records.filter((record) => record.key === key);
        expect(own.map(({ value }) => Number(Buffer.from(value ?? [])))).toEqual(
          Array.from({ length: 100 }, (_, index) => index * keys.length + at),
        );
        expect(new Set(own.map(({ partition }) => partition)).size).toBe(1);
      }
      expect(new Set(records.map(({ partition }) => partition)).size).toBeGreaterThan(1);
      for (const batch of batches) expect(new Set(batch.map(({ partition }) => partition)).size).toBe(1);
    });

    it("never delivers inside `send`", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const { records, ready, has } = subscribe(bus, [topic]);
      await waitFor(() => ready.includes(true), { timeoutMs: waitMs, what: "the consumer to be ready" });
      const sent = bus.producer.send({ topic: topic.name, key: "k", value: Buffer.from("v") });
      expect(records).toEqual([]);
      await sent;
      await has(1);
    });

    it("gives a new group what is there already, oldest first, and every group everything", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      for (const text of ["a", "b"]) await send(bus, topic, text);
      const groups = [subscribe(bus, [topic]), subscribe(newBus(), [topic])];
      await Promise.all(groups.map(({ has }) => has(2)));
      await send(bus, topic, "c");
      await Promise.all(groups.map(({ has }) => has(3)));
      for (const { records } of groups) expect(texts(records)).toEqual(["a", "b", "c"]);
    });

    it("reads several topics in one group", async () => {
      const bus = newBus();
      const topics = [await newTopic(bus, 6), await newTopic(bus, 2)];
      const { records, has } = subscribe(bus, topics);
      for (const topic of topics) for (const text of ["a", "b", "c"]) await send(bus, topic, text, text);
      await has(6);
      for (const { name } of topics) {
        expect(texts(records.filter(({ topic }) => topic === name)).sort()).toEqual(["a", "b", "c"]);
      }
    });

    it("creates the missing topics of a subscription", async () => {
      const bus = newBus();
      const topic = { name: `topic-${randomUUID()}`, partitions: 3 };
      const { ready, records, has } = subscribe(bus, [topic]);
      await waitFor(() => ready.includes(true), { timeoutMs: waitMs, what: "the consumer to be ready" });
      for (let index = 0; index < 60; index += 1) await send(bus, topic, "x", `key-${index}`);
      await has(60);
      expect(new Set(records.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2]));
    });

    it("finishes and commits the batch it is in when it is stopped, and goes on after it", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const groupId = `group-${randomUUID()}`;
      const seen: string[] = [];
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      await send(bus, topic, "first");
      const first = subscribe(bus, [topic], {
        groupId,
        deliver: async (batch) => {
          seen.push(...texts(batch));
          await held;
        },
      });
      await waitFor(() => seen.length === 1, { timeoutMs: waitMs, what: "the first record" });
      let ended = false;
      const stopped = first.stop().then(() => {
        ended = true;
      });
      await send(bus, topic, "second");
      expect(ended).toBe(false);
      release();
      await stopped;
      expect(first.ready.at(-1)).toBe(false);
      const second = subscribe(newBus(), [topic], { groupId });
      await second.has(1);
      expect(texts(second.records)).toEqual(["second"]);
      expect(seen).toEqual(["first"]);
    });

    it("brings records again that `deliver` did not take, and commits nothing past them", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const groupId = `group-${randomUUID()}`;
      await send(bus, topic, "poison");
      const tries: string[][] = [];
      const failing = subscribe(bus, [topic], {
        groupId,
        deliver: (batch) => {
          tries.push(texts(batch));
          throw new Error("not taken");
        },
      });
      await waitFor(() => tries.length >= 3, { timeoutMs: waitMs, what: "a third try" });
      await send(bus, topic, "next");
      await failing.stop();
      for (const batch of tries) expect(batch[0]).toBe("poison");
      let failures = 0;
      const records: string[] = [];
      subscribe(newBus(), [topic], {
        groupId,
        deliver: async (batch) => {
          failures += 1;
          if (failures === 1) throw new Error("not yet");
          records.push(...texts(batch));
        },
      });
      await waitFor(() => records.length >= 2, { timeoutMs: waitMs, what: "both records" });
      expect(records).toEqual(["poison", "next"]);
    });

    it("tells when it begins and ceases to receive", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const { ready, stop } = subscribe(bus, [topic]);
      await waitFor(() => ready.length > 0, { timeoutMs: waitMs, what: "the consumer to be ready" });
      await stop();
      expect(ready).toEqual([true, false]);
    });

    it("gives all partitions to the highest epoch of a group, and ends whoever has a lower one", async () => {
      const bus = newBus();
      const topic = await newTopic(bus, 3);
      const groupId = `group-${randomUUID()}`;
      const sendAll = async (): Promise<void> => {
        for (let key = 0; key < 20; key += 1) await send(bus, topic, "x", `key-${key}`);
      };
      const old = subscribe(newBus(), [topic], { groupId, epoch: () => 5 });
      await sendAll();
      await old.has(20);
      const successor = subscribe(newBus(), [topic], { groupId, epoch: () => 10 });
      expect(await refusal(old.ended)).toEqual([Code.Aborted, "PARTITION_TAKEN"]);
      expect(old.ready.at(-1)).toBe(false);
      const late = subscribe(newBus(), [topic], { groupId, epoch: () => 9 });
      expect(await refusal(late.ended)).toEqual([Code.Aborted, "PARTITION_TAKEN"]);
      await sendAll();
      await successor.has(20);
      expect([old.records.length, late.records.length, successor.records.length]).toEqual([20, 0, 20]);
    }, 60_000);

    it("makes a topic anew that was removed, and says so before the first record after it", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const events: (string | Gap)[] = [];
      const deliver = (batch: readonly ConsumerRecord[]): void => void events.push(...texts(batch));
      const { ready } = subscribe(newBus(), [topic], { deliver, onGap: (gap) => events.push(gap) });
      await waitFor(() => ready.at(-1), { timeoutMs: waitMs, what: "the consumer to be ready" });
      await send(bus, topic, "before");
      await waitFor(() => events.length === 1, { timeoutMs: waitMs, what: "the first record" });
      await bus.removeTopic(topic.name, AbortSignal.timeout(waitMs));
      const stored = (): Promise<boolean> =>
        send(newBus(), topic, "after").then(
          () => true,
          () => false,
        );
      await waitFor(stored, { timeoutMs: waitMs, what: "the topic to be there again" });
      await waitFor(() => events.length === 3, { timeoutMs: waitMs, what: "the record after the gap" });
      expect(events).toEqual(["before", { topic: topic.name, partition: 0, reason: "recreated" }, "after"]);
    }, 60_000);

    it("removes a topic, also one that is not there", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      await bus.removeTopic(topic.name, AbortSignal.timeout(waitMs));
      await bus.removeTopic(topic.name, AbortSignal.timeout(waitMs));
      expect(await refusal(send(newBus(), topic, "x"))).toEqual([Code.Unavailable, "TOPIC_NOT_FOUND"]);
    });

    it("does nothing for a signal that has aborted already", async () => {
      const bus = newBus();
      const { ready, records } = subscribe(bus, [await newTopic(bus)], { signal: AbortSignal.abort() });
      expect([ready, records]).toEqual([[], []]);
    });

    it("refuses a topic that does not exist, and takes it once it does", async () => {
      const bus = newBus();
      const topic = { name: `topic-${randomUUID()}`, partitions: 1 };
      expect(await refusal(send(bus, topic, "x"))).toEqual([Code.Unavailable, "TOPIC_NOT_FOUND"]);
      await bus.ensureTopics([topic, topic], AbortSignal.timeout(waitMs));
      await send(bus, topic, "x");
    });

    it("refuses a record that is too large, and takes the next", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const sent = bus.producer.send({ topic: topic.name, key: "k", value: new Uint8Array(1_000_001) });
      expect(await refusal(sent)).toEqual([Code.InvalidArgument, "MESSAGE_TOO_LARGE"]);
      await bus.producer.send({ topic: topic.name, key: "k", value: new Uint8Array(990_000) });
    });

    it("stores what waits when the producer is closed, and refuses the rest", async () => {
      const bus = newBus();
      const topic = await newTopic(bus);
      const sent = Array.from({ length: 50 }, (_, index) => send(bus, topic, String(index)));
      await bus.producer.close();
      await Promise.all(sent);
      expect(await refusal(send(bus, topic, "late"))).toEqual([Code.Unavailable, "PRODUCER_CLOSED"]);
      await bus.producer.close();
    });
  });
}

function send(bus: Bus, topic: Topic, text: string, key = "key"): Promise<void> {
  return bus.producer.send({ topic: topic.name, key, value: Buffer.from(text) });
}

function texts(records: readonly ConsumerRecord[]): string[] {
  return records.map(({ value }) => Buffer.from(value ?? []).toString());
}

async function refusal(sent: Promise<void>): Promise<[Code, string]> {
  const error = await sent.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error("rejected with no ConnectError", { cause: error });
  return [error.code, reasonOf(error)];
}
