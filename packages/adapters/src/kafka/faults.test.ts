// Kafka by kafkajs on a real broker that is killed, frozen or not there yet.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ConsumerRecord,
  type Gap,
  type Producer,
  reasonOf,
  type Subscription,
  type Topic,
} from "@im-gateway/core";
import { type Kafka as Broker, startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { Kafka as Client, logLevel } from "kafkajs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createKafka, type Kafka, type KafkaOptions } from "./index.ts";

const publishTimeoutMs = 2000;
const retryable: readonly (Code | undefined)[] = [Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted];

let broker: Broker;
beforeAll(async () => {
  broker = await startKafka();
});
afterAll(() => broker.stop());

function connect(options: Partial<KafkaOptions> = {}): Kafka {
  return createKafka({ brokers: broker.brokers, clientId: "test", log: () => {}, publishTimeoutMs, ...options });
}

async function newTopic(kafka: Kafka, partitions: number): Promise<Topic> {
  const topic = { name: `topic-${randomUUID()}`, partitions };
  await kafka.ensureTopics([topic], AbortSignal.timeout(10_000));
  return topic;
}

/** A running subscription that keeps what it gets. */
function subscribe({ consumer }: Kafka, topic: Topic, options: Partial<Subscription> = {}) {
  const controller = new AbortController();
  const records: ConsumerRecord[] = [];
  const ready: boolean[] = [];
  const ended = consumer.run({
    topics: [topic],
    groupId: `group-${randomUUID()}`,
    deliver: (batch) => void records.push(...batch),
    onReady: (value) => ready.push(value),
    signal: controller.signal,
    ...options,
  });
  const stop = (): Promise<void> => {
    controller.abort();
    return ended;
  };
  return { records, ready, stop };
}

/** Numbered records of 20 keys at some 500 a second, until it is stopped. */
function startLoad(producer: Producer, topic: Topic) {
  const acked: string[] = [];
  const answersMs: number[] = [];
  const codes: (Code | undefined)[] = [];
  const sends: Promise<void>[] = [];
  let sent = 0;
  let going = true;
  function sendOne(): void {
    const key = `key-${sent % 20}`;
    const value = String(sent);
    const startedMs = performance.now();
    sent += 1;
    const answered = producer.send({ topic: topic.name, key, value: Buffer.from(value) }).then(
      () => void acked.push(`${key} ${value}`),
      (error: unknown) => void codes.push(error instanceof ConnectError ? error.code : undefined),
    );
    sends.push(answered.finally(() => answersMs.push(performance.now() - startedMs)));
  }
  const ended = (async () => {
    while (going) {
      for (let count = 0; count < 5; count += 1) sendOne();
      await sleep(10);
    }
    await Promise.all(sends);
  })();
  const stop = (): Promise<void> => {
    going = false;
    return ended;
  };
  return { acked, answersMs, codes, stop };
}

/** What the log holds, read by a consumer: each record once, however often it came. */
function readLog(records: readonly ConsumerRecord[]) {
  const byOffset = new Map(records.map((record) => [`${record.partition}/${record.offset}`, record]));
  const stored = [...byOffset.values()].map(({ key, value }) => `${key} ${Buffer.from(value ?? [])}`);
  const last = new Map<string, number>();
  let reordered = 0;
  for (const entry of new Set(stored)) {
    const [key = "", number] = entry.split(" ");
    if (Number(number) < (last.get(key) ?? -1)) reordered += 1;
    last.set(key, Number(number));
  }
  return { stored: new Set(stored), duplicates: stored.length - new Set(stored).size, reordered };
}

it("loses, doubles and reorders nothing that was acked while the broker is killed and comes back", async () => {
  const kafka = connect();
  const topic = await newTopic(kafka, 6);
  const { records, ready, stop } = subscribe(kafka, topic);
  await waitFor(() => ready.at(-1), { timeoutMs: 10_000, what: "the consumer to be ready" });
  const load = startLoad(kafka.producer, topic);
  await waitFor(() => load.acked.length > 300, { timeoutMs: 20_000, what: "acks before the kill" });
  await broker.kill();
  await waitFor(() => ready.at(-1) === false, { timeoutMs: 15_000, what: "the consumer to see it" });
  await broker.restart();
  const ackedBefore = load.acked.length;
  await waitFor(() => load.acked.length > ackedBefore + 500, { timeoutMs: 20_000, what: "acks after the restart" });
  await load.stop();
  await waitFor(() => ready.at(-1), { timeoutMs: 20_000, what: "the consumer to be back" });
  await waitFor(() => load.acked.every((entry) => readLog(records).stored.has(entry)), {
    timeoutMs: 10_000,
    what: "everything that was acked",
    intervalMs: 500,
  });
  const { duplicates, reordered } = readLog(records);
  expect({ duplicates, reordered }).toEqual({ duplicates: 0, reordered: 0 });
  expect(load.codes.every((code) => retryable.includes(code))).toBe(true);
  await stop();
  await kafka.producer.close();
}, 60_000);

it("answers every send in time while the broker is frozen, holds no more than it may, and goes on after the thaw", async () => {
  const kafka = connect({ maxQueuedRecords: 600 });
  const topic = await newTopic(kafka, 6);
  const { records, ready, stop } = subscribe(kafka, topic);
  await waitFor(() => ready.at(-1), { timeoutMs: 10_000, what: "the consumer to be ready" });
  const load = startLoad(kafka.producer, topic);
  await waitFor(() => load.acked.length > 100, { timeoutMs: 20_000, what: "acks before the freeze" });
  broker.freeze();
  try {
    await waitFor(() => ready.at(-1) === false, { timeoutMs: 15_000, what: "the consumer to see it" });
    await sleep(2 * publishTimeoutMs);
    expect(load.codes).toContain(Code.DeadlineExceeded);
    expect(load.codes).toContain(Code.ResourceExhausted);
    await load.stop();
    expect(Math.max(...load.answersMs)).toBeLessThan(publishTimeoutMs + 500);
  } finally {
    broker.thaw();
  }
  const after = startLoad(kafka.producer, topic);
  await waitFor(() => after.acked.length > 500, { timeoutMs: 20_000, what: "acks after the thaw" });
  await after.stop();
  await waitFor(() => [...load.acked, ...after.acked].every((entry) => readLog(records).stored.has(entry)), {
    timeoutMs: 10_000,
    what: "everything that was acked",
    intervalMs: 500,
  });
  expect(load.codes.every((code) => retryable.includes(code))).toBe(true);
  await stop();
  await kafka.producer.close();
}, 60_000);

it("waits for a broker that is away at the start", async () => {
  const early = connect();
  const topic = await newTopic(early, 2);
  await early.producer.close();
  await broker.kill();
  const kafka = connect();
  const { records, ready, stop } = subscribe(kafka, topic);
  const startedMs = performance.now();
  const lost = await kafka.producer.send({ topic: topic.name, key: "k", value: Buffer.from("lost") }).catch(String);
  expect(lost).toContain("deadline_exceeded");
  expect(performance.now() - startedMs).toBeLessThan(publishTimeoutMs + 500);
  expect(ready).toEqual([]);
  await broker.restart();
  await waitFor(() => kafka.producer.send({ topic: topic.name, key: "k", value: Buffer.from("v") }).then(() => true), {
    timeoutMs: 15_000,
    what: "a send that succeeds",
  });
  await waitFor(() => records.length > 0, { timeoutMs: 15_000, what: "the record" });
  expect(ready).toEqual([true]);
  await stop();
  await kafka.producer.close();
}, 60_000);

it("says that records have fallen out of retention, before the first that is left", async () => {
  const kafka = connect();
  const topic = await newTopic(kafka, 1);
  const groupId = `group-${randomUUID()}`;
  const send = (value: string) => kafka.producer.send({ topic: topic.name, key: "k", value });
  const events: (string | Gap)[] = [];
  const deliver = (batch: readonly ConsumerRecord[]): void =>
    void events.push(...batch.map(({ value }) => String(Buffer.from(value ?? []))));
  const options = { groupId, epoch: () => 1, deliver, onGap: (gap: Gap) => void events.push(gap) };
  const first = subscribe(kafka, topic, options);
  await send("read");
  await waitFor(() => events.length > 0, { timeoutMs: 10_000, what: "the first record" });
  await first.stop();
  for (const value of ["removed", "removed too", "left"]) await send(value);
  const admin = new Client({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.fetchTopicMetadata({ topics: [topic.name] });
  await admin.deleteTopicRecords({ topic: topic.name, partitions: [{ partition: 0, offset: "3" }] });
  await admin.disconnect();
  const second = subscribe(kafka, topic, options);
  await waitFor(() => events.includes("left"), { timeoutMs: 10_000, what: "the record that is left" });
  expect(events).toEqual(["read", { topic: topic.name, partition: 0, reason: "expired" }, "left"]);
  await second.stop();
  await kafka.producer.close();
}, 40_000);

it.each<
  [string, { readonly reads: readonly string[]; readonly while: "away" | "here"; readonly reason: Gap["reason"] }]
>([
  ["recreated", { reads: ["read"], while: "here", reason: "recreated" }],
  ["recreated before anything was read", { reads: [], while: "here", reason: "recreated" }],
  ["emptied", { reads: ["read"], while: "away", reason: "expired" }],
])(
  "says once that a topic was %s, when nothing follows",
  async (_what, { reads, while: when, reason }) => {
    const warnings: string[] = [];
    const kafka = connect({ log: (level, message) => void (level === "warn" && warnings.push(message)) });
    const topic = await newTopic(kafka, 1);
    const send = (value: string) => kafka.producer.send({ topic: topic.name, key: "k", value });
    const events: (string | Gap)[] = [];
    const options: Partial<Subscription> = {
      groupId: `group-${randomUUID()}`,
      epoch: () => 1,
      deliver: (batch) => void events.push(...batch.map(({ value }) => String(Buffer.from(value ?? [])))),
      onGap: (gap) => void events.push(gap),
    };
    const first = subscribe(kafka, topic, options);
    await waitFor(() => first.ready.at(-1), { timeoutMs: 10_000, what: "the consumer to be ready" });
    for (const value of reads) await send(value);
    await waitFor(() => events.length === reads.length, { timeoutMs: 10_000, what: "what was sent" });
    if (when === "away") await first.stop();
    const admin = new Client({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    if (reason === "recreated") await admin.deleteTopics({ topics: [topic.name] });
    else {
      await send("unread");
      await admin.fetchTopicMetadata({ topics: [topic.name] });
      await admin.deleteTopicRecords({ topic: topic.name, partitions: [{ partition: 0, offset: "2" }] });
    }
    await admin.disconnect();
    const now = when === "away" ? subscribe(kafka, topic, options) : first;
    await waitFor(() => events.length > reads.length, { timeoutMs: 15_000, what: "the gap" });
    // Two rounds of what looks for gaps by itself.
    await sleep(11_000);
    expect(events).toEqual([...reads, { topic: topic.name, partition: 0, reason }]);
    expect(warnings.filter((message) => message.includes("starts again")).length).toBeLessThanOrEqual(1);
    await send("after");
    await waitFor(() => events.at(-1) === "after", { timeoutMs: 10_000, what: "the record after it" });
    expect(events).toHaveLength(reads.length + 2);
    await now.stop();
    await kafka.producer.close();
  },
  60_000,
);

it("stays when its own epoch falls, as after an etcd that lost its data", async () => {
  const kafka = connect();
  const topic = await newTopic(kafka, 1);
  let epoch = 100;
  const { records, ready, stop } = subscribe(kafka, topic, { epoch: () => epoch });
  await waitFor(() => ready.at(-1), { timeoutMs: 10_000, what: "the consumer to be ready" });
  await kafka.producer.send({ topic: topic.name, key: "k", value: "committed with 100" });
  await waitFor(() => records.length === 1, { timeoutMs: 10_000, what: "the first record" });
  epoch = 3;
  // One round of what looks for a later life.
  await sleep(6000);
  expect(ready).toEqual([true]);
  await kafka.producer.send({ topic: topic.name, key: "k", value: "committed with 3" });
  await waitFor(() => records.length === 2, { timeoutMs: 10_000, what: "the second record" });
  await stop();
  await kafka.producer.close();
}, 40_000);

it("makes topics anew that its subscriber only writes to", async () => {
  const kafka = connect();
  const [topic, other] = [await newTopic(kafka, 1), await newTopic(kafka, 1)];
  const { ready, stop } = subscribe(kafka, topic, { alsoCreate: [other] });
  await waitFor(() => ready.at(-1), { timeoutMs: 10_000, what: "the consumer to be ready" });
  await kafka.removeTopic(other.name, AbortSignal.timeout(10_000));
  const stored = (): Promise<boolean> =>
    kafka.producer.send({ topic: other.name, key: "k", value: "v" }).then(
      () => true,
      () => false,
    );
  await waitFor(stored, { timeoutMs: 15_000, what: "the topic to be there again" });
  await stop();
  await kafka.producer.close();
}, 40_000);

it("reads what is packed with zstd; of what it can not read it says so, and is not ready until that is gone", async () => {
  const errors: string[] = [];
  const kafka = connect({ log: (level, message) => void (level === "error" && errors.push(message)) });
  const client = new Client({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  /** The broker packs what is sent to such a topic. */
  const packed = async (type: string): Promise<Topic> => {
    const topic = { name: `topic-${randomUUID()}`, partitions: 1 };
    const configEntries = [{ name: "compression.type", value: type }];
    await admin.createTopics({ topics: [{ topic: topic.name, numPartitions: 1, configEntries }] });
    return topic;
  };
  const [zstd, lz4] = [await packed("zstd"), await packed("lz4")];
  for (const { name } of [zstd, lz4]) await kafka.producer.send({ topic: name, key: "k", value: "first" });
  const readable = subscribe(kafka, zstd);
  await waitFor(() => readable.records.length === 1, { timeoutMs: 10_000, what: "the zstd record" });
  await readable.stop();
  const stuck = subscribe(kafka, lz4);
  await waitFor(() => errors.length >= 2, { timeoutMs: 15_000, what: "the second try" });
  expect(new Set(errors)).toEqual(new Set(["records are packed in a way that can not be read"]));
  expect(stuck.ready).toEqual([]);
  await admin.fetchTopicMetadata({ topics: [lz4.name] });
  await admin.deleteTopicRecords({ topic: lz4.name, partitions: [{ partition: 0, offset: "1" }] });
  await waitFor(() => stuck.ready.at(-1), { timeoutMs: 15_000, what: "it to be ready" });
  await stuck.stop();
  await admin.disconnect();
  await kafka.producer.close();
}, 60_000);

it("ends at once, also while there is no broker", async () => {
  const kafka = connect();
  const topic = await newTopic(kafka, 1);
  await broker.kill();
  const stuck = subscribe(kafka, topic);
  const controller = new AbortController();
  const ensured = kafka.ensureTopics([topic], controller.signal);
  const sent = kafka.producer.send({ topic: topic.name, key: "k", value: Buffer.from("v") });
  const startedMs = performance.now();
  controller.abort();
  await expect(ensured).rejects.toSatisfy((error: ConnectError) => reasonOf(error) === "CANCELED");
  await stuck.stop();
  expect(performance.now() - startedMs).toBeLessThan(500);
  const [, refusal] = await Promise.all([kafka.producer.close(), sent.catch(String)]);
  expect(refusal).toContain("deadline_exceeded");
  expect(performance.now() - startedMs).toBeLessThan(publishTimeoutMs + 500);
  await broker.restart();
}, 60_000);

it("rides out what Kafka refuses for a while, and tells of a topic that was made anew meanwhile", async () => {
  const lines: string[] = [];
  const kafka = connect({ log: (level, message) => void lines.push(`${level} ${message}`) });
  // Mended below, as an operator mends a right.
  const topic = { ...(await newTopic(kafka, 1)), retentionMs: 60_000 };
  const events: string[] = [];
  const { ready, stop } = subscribe(kafka, topic, {
    deliver: (batch) => void events.push(...batch.map(({ value }) => Buffer.from(value ?? []).toString())),
    onGap: ({ reason }) => void events.push(reason),
  });
  await waitFor(() => ready.at(-1), { timeoutMs: 10_000, what: "the consumer to be ready" });
  await kafka.producer.send({ topic: topic.name, key: "k", value: Buffer.from("one") });
  await waitFor(() => events.includes("one"), { timeoutMs: 10_000, what: "the first record" });
  topic.retentionMs = -5;
  const admin = new Client({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic.name] });
  await admin.disconnect();
  const refused = "error Kafka refuses what it allowed before, trying again";
  await waitFor(() => lines.filter((line) => line === refused).length >= 2, { timeoutMs: 30_000, what: "refusals" });
  expect(events).toEqual(["one"]);
  topic.retentionMs = 60_000;
  await waitFor(() => events.includes("recreated"), { timeoutMs: 30_000, what: "the gap to be told" });
  await kafka.producer.send({ topic: topic.name, key: "k", value: Buffer.from("two") });
  await waitFor(() => events.includes("two"), { timeoutMs: 20_000, what: "the next record" });
  expect(events).toEqual(["one", "recreated", "two"]);
  await stop();
  await kafka.producer.close();
}, 120_000);
