// Three brokers: the leader of a partition under load is killed, started again, and the next one.
import { setTimeout as sleep } from "node:timers/promises";
import { startKafkaCluster } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { startChat } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { lostSockets } from "../verdicts.ts";
import { startWorld } from "../world.ts";

const stallLimitMs = 10_000;
const copies = 3;

export const leaderKilled: Scenario = {
  name: "leader-killed",
  title: "three brokers, leader killed, 10 times, under 500 msg/s",
  promise: "0 acked lost, 0 reordered per conversation, duplicates counted, no socket lost; longest ack stall ≤ 10 s",
  async run(context) {
    const { rounds, perSecond } =
      context.scale === "full" ? { rounds: 10, perSecond: 500 } : { rounds: 1, perSecond: 100 };
    const world = await startWorld(context, { kafka: startKafkaCluster(copies), gateways: 2 });
    const kafka = new Kafka({ clientId: "chaos", brokers: [...world.kafka.brokers], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    context.defer(() => admin.disconnect());
    const chat = await startChat(context, world);
    const load = chat.start(perSecond);
    context.defer(() => load.stop());
    for (let round = 1; round <= rounds; round += 1) {
      await sleep(1000);
      const leader = await leaderOf(admin, round);
      const node = world.kafka.nodes[leader - 1];
      if (node === undefined) throw new Error(`there is no broker ${leader}`);
      await node.kill();
      await sleep(3000);
      await node.restart();
      // The next kill is to leave two copies, and a gateway that works.
      await waitFor(() => everywhereInSync(admin), {
        timeoutMs: 60_000,
        what: "three copies in sync",
        intervalMs: 500,
      });
      await waitFor(() => chat.ledger.pending < perSecond, { timeoutMs: 60_000, what: "the acks to catch up" });
      context.progress(`round ${round}, broker ${leader}; longest stall ${Math.round(chat.ledger.longestStallMs)} ms`);
    }
    await sleep(2000);
    load.stop();
    const { account, further, failures } = await chat.settle(60_000);
    const stallMs = Math.round(chat.ledger.longestStallMs);
    return {
      account,
      further,
      failures: [
        ...failures,
        ...lostSockets(chat.clients),
        ...(stallMs > stallLimitMs ? [`no ack in a conversation for ${stallMs} ms`] : []),
      ],
    };
  },
};

/** Of one of upstream's partitions, another each round. */
async function leaderOf(admin: Admin, round: number): Promise<number> {
  const [topic] = (await admin.fetchTopicMetadata({ topics: ["upstream"] })).topics;
  const partitions = topic?.partitions ?? [];
  return partitions[round % partitions.length]?.leader ?? 0;
}

async function everywhereInSync(admin: Admin): Promise<boolean> {
  const { topics } = await admin.fetchTopicMetadata();
  return topics.every(({ partitions }) => partitions.every(({ isr }) => isr.length === copies));
}
