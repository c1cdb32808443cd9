import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { createKafka } from "@im-gateway/adapters/kafka";
import type { Topic } from "@im-gateway/core";
import { type Kafka, startKafka } from "@im-gateway/tools/kafka";
import { startProcess, waitFor } from "@im-gateway/tools/process";
import { Kafka as Client, ConfigResourceTypes, logLevel } from "kafkajs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { busSuite } from "./bus-suite.ts";

let broker: Kafka;
beforeAll(async () => {
  broker = await startKafka();
});
afterAll(() => broker.stop());

const open = () => createKafka({ brokers: broker.brokers, clientId: "conformance", log: () => {} });

busSuite("Kafka", open);

it("creates topics with the partitions and the retention asked for, and changes none that is there", async () => {
  const topic: Topic = { name: `topic-${randomUUID()}`, partitions: 4, retentionMs: 3_600_000 };
  await open().ensureTopics([topic], AbortSignal.timeout(10_000));
  await open().ensureTopics([{ ...topic, partitions: 7, retentionMs: 1 }], AbortSignal.timeout(10_000));
  const client = new Client({ clientId: "test", brokers: [...broker.brokers], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic.name] });
    expect(topics[0]?.partitions.map(({ replicas }) => replicas.length)).toEqual([1, 1, 1, 1]);
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic.name }],
    });
    const values = Object.fromEntries(
      resources[0]?.configEntries.map((entry) => [entry.configName, entry.configValue]) ?? [],
    );
    expect(values["retention.ms"]).toBe("3600000");
    expect(values["compression.type"]).toBe("uncompressed");
  } finally {
    await admin.disconnect();
  }
});

it("is not ready while another member of its group has the partition", async () => {
  const topic = { name: `topic-${randomUUID()}`, partitions: 1 };
  const groupId = `group-${randomUUID()}`;
  const controller = new AbortController();
  const ready = [false, false];
  let changedMs = performance.now();
  const ended = ready.map((_, member) =>
    open().consumer.run({
      topics: [topic],
      groupId,
      deliver: () => {},
      onReady(value) {
        ready[member] = value;
        changedMs = performance.now();
      },
      signal: controller.signal,
    }),
  );
  const client = new Client({ clientId: "test", brokers: [...broker.brokers], logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  try {
    const bothJoined = async (): Promise<boolean> => {
      const { groups } = await admin.describeGroups([groupId]);
      return groups[0]?.state === "Stable" && groups[0].members.length === 2;
    };
    await waitFor(bothJoined, { timeoutMs: 15_000, what: "both members to have joined" });
    // Who had the partition before is not ready 3 s after it lost it.
    const one = (): boolean => ready.filter(Boolean).length === 1;
    await waitFor(() => one() && performance.now() - changedMs > 2000, {
      timeoutMs: 10_000,
      what: "one member to be ready, and to stay it",
    });
  } finally {
    await admin.disconnect();
  }
  controller.abort();
  await Promise.all(ended);
}, 30_000);

it("says at once what Kafka will never take", async () => {
  const controller = new AbortController();
  const topics = [{ name: "no such / name", partitions: 1 }];
  await expect(open().ensureTopics(topics, controller.signal)).rejects.toThrow("INVALID_TOPIC_EXCEPTION");
});

function startConsumer(topic: Topic, groupId: string, epoch?: number) {
  const script = join(import.meta.dirname, "consumer-process.ts");
  const args = [broker.brokers[0] ?? "", topic.name, groupId, ...(epoch === undefined ? [] : [String(epoch)])];
  return startProcess({
    name: "the consumer",
    command: process.execPath,
    args: ["--conditions=@im-gateway/source", script, ...args],
  });
}

it.each([
  { when: "its successor is there", away: false },
  { when: "its successor is away", away: true },
])(
  "refuses a thawed process of an earlier epoch while $when: it commits nothing, and ends",
  async ({ away }) => {
    const { producer, ensureTopics } = open();
    const topic = { name: `topic-${randomUUID()}`, partitions: 1 };
    await ensureTopics([topic], AbortSignal.timeout(10_000));
    const groupId = `group-${randomUUID()}`;
    const send = (value: string) => producer.send({ topic: topic.name, key: "k", value });
    const old = startConsumer(topic, groupId, 5);
    await send("one");
    await old.waitForLine(/^record one$/, 10_000);
    old.freeze();
    await send("two");
    const startedMs = performance.now();
    let successor = startConsumer(topic, groupId, 10);
    await successor.waitForLine(/^record two$/, 10_000);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    if (away) await successor.kill();
    await send("three");
    old.thaw();
    await old.waitForLine(/^rejected .*PARTITION_TAKEN|^rejected .*a later life/, 10_000);
    const restartedMs = performance.now();
    if (away) successor = startConsumer(topic, groupId, 10);
    await successor.waitForLine(/^record three$/, 10_000);
    expect(performance.now() - restartedMs).toBeLessThan(5000);
    await send("four");
    await successor.waitForLine(/^record four$/, 10_000);
    expect((await old.exited).code).toBe(0);
    await successor.stop();
    await producer.close();
  },
  60_000,
);

it("delivers what was written meanwhile soon after a restart by kill -9", async () => {
  const { producer, ensureTopics } = open();
  const topic = { name: `topic-${randomUUID()}`, partitions: 1 };
  await ensureTopics([topic], AbortSignal.timeout(10_000));
  const groupId = `group-${randomUUID()}`;
  const first = startConsumer(topic, groupId);
  await first.waitForLine(/^ready true$/, 10_000);
  await producer.send({ topic: topic.name, key: "k", value: Buffer.from("before") });
  await first.waitForLine(/^record before$/, 10_000);
  await first.kill();
  await producer.send({ topic: topic.name, key: "k", value: Buffer.from("meanwhile") });
  const startedMs = performance.now();
  const second = startConsumer(topic, groupId);
  await second.waitForLine(/^record meanwhile$/, 10_000);
  expect(performance.now() - startedMs).toBeLessThan(5000);
  const { code } = await second.stop();
  expect(code).toBe(0);
  await producer.close();
}, 40_000);
