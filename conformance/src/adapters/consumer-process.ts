// A process that prints what it receives: `node consumer-process.ts BROKER TOPIC GROUP [EPOCH]`.
import { createKafka } from "@im-gateway/adapters/kafka";

const [broker = "", topic = "", groupId = "", epoch] = process.argv.slice(2);
const controller = new AbortController();
process.once("SIGTERM", () => controller.abort());
const { consumer } = createKafka({ brokers: [broker], clientId: "child", log: () => {} });
const running = consumer.run({
  topics: [{ name: topic, partitions: 1 }],
  groupId,
  ...(epoch === undefined ? {} : { epoch: () => Number(epoch) }),
  deliver(records) {
    for (const { value } of records) process.stdout.write(`record ${Buffer.from(value ?? [])}\n`);
  },
  onReady: (ready) => process.stdout.write(`ready ${ready}\n`),
  signal: controller.signal,
});
await running.catch((error: unknown) => process.stdout.write(`rejected ${error}\n`));
