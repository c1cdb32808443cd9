// A process that prints what it receives: `node consumer-process.ts BROKER TOPIC GROUP`.
import { createKafka } from "@im-gateway/adapters/kafka";

const [broker = "", topic = "", groupId = ""] = process.argv.slice(2);
const controller = new AbortController();
process.once("SIGTERM", () => controller.abort());
const { consumer } = createKafka({ brokers: [broker], clientId: "child", log: () => {} });
await consumer.run({
  topics: [{ name: topic, partitions: 1 }],
  groupId,
  deliver(records) {
    for (const { value } of records) process.stdout.write(`record ${Buffer.from(value ?? [])}\n`);
  },
  onReady: (ready) => process.stdout.write(`ready ${ready}\n`),
  signal: controller.signal,
});
