// What kafkajs does not do by itself, on a real broker.
import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { reasonOf } from "@im-gateway/core";
import { type Kafka as Broker, startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { type Admin, Kafka as Client, logLevel, Partitioners } from "kafkajs";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { createKafka, type Kafka, type KafkaOptions } from "./index.ts";

let broker: Broker;
let client: Client;
let admin: Admin;
const warnings: string[] = [];
process.on("warning", ({ name }) => warnings.push(name));
beforeAll(async () => {
  broker = await startKafka();
  client = new Client({ clientId: "test", brokers: [...broker.brokers], logLevel: logLevel.NOTHING });
  admin = client.admin();
  await admin.connect();
});
afterAll(async () => {
  await admin.disconnect();
  await broker.stop();
});

const open: Kafka[] = [];
afterEach(async () => {
  for (const kafka of open.splice(0)) await kafka.producer.close();
});

function connect(options: Partial<KafkaOptions> = {}): Kafka {
  const kafka = createKafka({ brokers: broker.brokers, clientId: "test", log: () => {}, ...options });
  open.push(kafka);
  return kafka;
}

async function newTopic(numPartitions = 1, config: Readonly<Record<string, string>> = {}): Promise<string> {
  const topic = `topic-${randomUUID()}`;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] });
  return topic;
}

function send({ producer }: Kafka, topic: string, value: string | Uint8Array, key = "key"): Promise<void> {
  return producer.send({ topic, key, value: Buffer.from(value) });
}

async function refusal(sent: Promise<void>): Promise<[Code, string]> {
  const error: unknown = await sent.then(
    () => undefined,
    (reason) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error("rejected with no ConnectError", { cause: error });
  return [error.code, reasonOf(error)];
}

/** Keys and values of a topic by partition, as a client that is not ours reads them. */
async function readAll(topic: string, count: number): Promise<{ partition: number; key: string; value: string }[]> {
  const consumer = client.consumer({ groupId: `group-${randomUUID()}`, maxWaitTimeInMs: 100 });
  const records: { partition: number; key: string; value: string }[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      records.push({ partition, key: String(message.key), value: String(message.value) });
    },
  });
  await waitFor(() => records.length >= count, { timeoutMs: 10_000, what: `${count} records` });
  await consumer.disconnect();
  return records;
}

it("puts a key where every Kafka client with the default partitioner puts it", async () => {
  const topic = await newTopic(6);
  const kafka = connect();
  const keys = Array.from({ length: 60 }, (_, index) => `会话-${index}-${randomUUID()}`);
  await Promise.all(keys.map((key) => send(kafka, topic, "ours", key)));
  const theirs = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await theirs.connect();
  await theirs.send({ topic, messages: keys.map((key) => ({ key, value: "theirs" })) });
  await theirs.disconnect();
  const places = new Map<string, Set<number>>();
  for (const { key, partition } of await readAll(topic, 120)) {
    places.set(key, (places.get(key) ?? new Set()).add(partition));
  }
  expect([...places.values()].map(({ size }) => size)).toEqual(keys.map(() => 1));
});

it("splits a batch that its topic finds too large, and refuses only the record that is", async () => {
  const topic = await newTopic(1, { "max.message.bytes": "100000" });
  const kafka = connect();
  const sent = Array.from({ length: 40 }, (_, index) => send(kafka, topic, `${index} ${"x".repeat(30_000)}`));
  const tooLarge = refusal(send(kafka, topic, "x".repeat(150_000)));
  const last = send(kafka, topic, "last");
  await Promise.all([...sent, last]);
  expect(await tooLarge).toEqual([Code.InvalidArgument, "MESSAGE_TOO_LARGE"]);
  const stored = (await readAll(topic, 41)).map(({ value }) => value.split(" ")[0]);
  expect(stored).toEqual([...sent.keys()].map(String).concat("last"));
});

it("is not held up by a topic that is gone, and goes on when it is back", async () => {
  const kafka = connect({ publishTimeoutMs: 1000 });
  const gone = await newTopic();
  const stays = await newTopic();
  await Promise.all([send(kafka, gone, "1"), send(kafka, stays, "1")]);
  await admin.deleteTopics({ topics: [gone] });
  const first = refusal(send(kafka, gone, "2"));
  const startedMs = performance.now();
  await send(kafka, stays, "2");
  expect(performance.now() - startedMs).toBeLessThan(500);
  // What is in flight when the topic goes waits in vain; from then on the reason is known.
  expect([Code.DeadlineExceeded, Code.Unavailable]).toContain((await first)[0]);
  expect(await refusal(send(kafka, gone, "3"))).toEqual([Code.Unavailable, "TOPIC_NOT_FOUND"]);
  await kafka.ensureTopics([{ name: gone, partitions: 1 }], AbortSignal.timeout(10_000));
  await waitFor(() => send(kafka, gone, "4").then(() => true), {
    timeoutMs: 15_000,
    what: "the topic to take records",
  });
}, 40_000);

it("refuses at once past its bounds, and takes records again when there is room", async () => {
  const kafka = connect({ maxQueuedRecords: 10, maxQueuedBytes: 20_000 });
  const topic = await newTopic();
  const many = Array.from({ length: 10 }, () => send(kafka, topic, "x"));
  expect(await refusal(send(kafka, topic, "x"))).toEqual([Code.ResourceExhausted, "UPSTREAM_BUSY"]);
  await Promise.all(many);
  const large = send(kafka, topic, "x".repeat(15_000));
  expect(await refusal(send(kafka, topic, "x".repeat(15_000)))).toEqual([Code.ResourceExhausted, "UPSTREAM_BUSY"]);
  await large;
  await send(kafka, topic, "x".repeat(15_000));
});

it("lets a lane go that nobody used for five minutes, and makes a new one", async () => {
  let aheadMs = 0;
  const kafka = connect({ now: () => performance.now() + aheadMs });
  const topic = await newTopic(3);
  const before = sockets();
  for (const key of ["a", "b", "c", "d", "e", "f", "g"]) await send(kafka, topic, "x", key);
  await waitFor(() => sockets() >= before + 3, { timeoutMs: 5000, what: "a connection a lane" });
  aheadMs = 301_000;
  await waitFor(() => sockets() <= before, { timeoutMs: 5000, what: "no connection of a lane" });
  await send(kafka, topic, "x", "a");
});

it("has kafkajs arm no timer without a reason", () => {
  expect(warnings).not.toContain("TimeoutNegativeWarning");
});

function sockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}
