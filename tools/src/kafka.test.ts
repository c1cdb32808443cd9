import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kafka as Client, logLevel, Partitioners } from "kafkajs";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type Kafka, startKafka, startKafkaCluster } from "./kafka.ts";
import { waitFor } from "./process.ts";

// Other tests start a Kafka at the same time; what this one leaves behind shows in a folder of its own.
const temporary = mkdtempSync(join(tmpdir(), "im-gateway-test-"));
vi.stubEnv("TMPDIR", temporary);

let kafka: Kafka;
beforeAll(async () => {
  kafka = await startKafka();
});
afterAll(async () => {
  await kafka.stop();
  vi.unstubAllEnvs();
  rmSync(temporary, { recursive: true });
});

function client(retries: number): Client {
  return new Client({
    clientId: "test",
    brokers: [...kafka.brokers],
    logLevel: logLevel.NOTHING,
    requestTimeout: 2000,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries },
  });
}

async function send(value: string): Promise<void> {
  const producer = client(0).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  try {
    await producer.connect();
    await producer.send({ topic: "kept", acks: -1, messages: [{ value }] });
  } finally {
    await producer.disconnect();
  }
}

async function received(groupId: string, count: number): Promise<string[]> {
  const consumer = client(20).consumer({ groupId, maxWaitTimeInMs: 200 });
  const values: string[] = [];
  try {
    await consumer.connect();
    await consumer.subscribe({ topic: "kept", fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        values.push(String(message.value));
      },
    });
    await waitFor(() => values.length >= count, { timeoutMs: 10_000, what: `${count} records` });
  } finally {
    await consumer.disconnect();
  }
  return values;
}

it("takes requests at once, and keeps its address and data through a kill and a restart", async () => {
  const admin = client(20).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "kept", numPartitions: 1 }], waitForLeaders: true });
  await admin.disconnect();
  await send("one");
  await kafka.restart();
  await send("two");
  await kafka.kill();
  await expect(send("lost")).rejects.toThrow();
  await kafka.restart();
  await send("three");
  expect(await received("after-restarts", 3)).toEqual(["one", "two", "three"]);
}, 60_000);

it("answers nothing while frozen", async () => {
  kafka.freeze();
  await expect(send("never")).rejects.toThrow();
  kafka.thaw();
  await waitFor(() => send("thawed").then(() => true), { timeoutMs: 15_000, what: "a send after the thaw" });
}, 30_000);

it("leaves no process and no folder behind", async () => {
  const other = await startKafka();
  const { pid } = other;
  expect(readdirSync(temporary)).toHaveLength(2);
  await other.stop();
  await other.stop();
  expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  await expect(other.restart()).rejects.toThrow(/start a new one/);
  await kafka.stop();
  expect(readdirSync(temporary)).toEqual([]);
}, 30_000);

it("stores what a majority of three brokers has, also while one is dead, and takes the dead one back", async () => {
  const cluster = await startKafkaCluster(3);
  const cluster3 = new Client({
    clientId: "test",
    brokers: [...cluster.brokers],
    logLevel: logLevel.NOTHING,
    requestTimeout: 2000,
    retry: { initialRetryTime: 100, maxRetryTime: 500, retries: 60 },
  });
  const admin = cluster3.admin();
  const producer = cluster3.producer({ createPartitioner: Partitioners.DefaultPartitioner, metadataMaxAge: 1000 });
  const partition = async () => (await admin.fetchTopicMetadata({ topics: ["copied"] })).topics[0]?.partitions[0];
  const put = (value: string) => producer.send({ topic: "copied", acks: -1, messages: [{ value }] });
  try {
    await admin.connect();
    await producer.connect();
    await admin.createTopics({ topics: [{ topic: "copied", numPartitions: 1, replicationFactor: 3 }] });
    await put("one");
    const leader = (await partition())?.leader ?? 0;
    const dead = cluster.nodes[leader - 1];
    await dead?.kill();
    await put("two");
    expect((await partition())?.leader).not.toBe(leader);
    await dead?.restart();
    await waitFor(async () => (await partition())?.isr.length === 3, { timeoutMs: 20_000, what: "three copies again" });
    cluster.nodes[0]?.freeze();
  } finally {
    await Promise.all([admin.disconnect(), producer.disconnect()]);
    await cluster.stop();
  }
  expect(readdirSync(temporary)).toEqual([]);
}, 90_000);
