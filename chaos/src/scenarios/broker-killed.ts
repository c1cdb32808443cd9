// A single broker is killed and started again under load.
import { setTimeout as sleep } from "node:timers/promises";
import { startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { startChat } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { lostSockets } from "../verdicts.ts";
import { startWorld } from "../world.ts";

export const brokerKilled: Scenario = {
  name: "broker-killed",
  title: "broker kill -9 and restart, 10 times, under 500 msg/s",
  promise: "0 acked lost, 0 reordered per conversation, duplicates counted, no socket lost",
  async run(context) {
    const { rounds, perSecond } =
      context.scale === "full" ? { rounds: 10, perSecond: 500 } : { rounds: 1, perSecond: 200 };
    const world = await startWorld(context, { kafka: startKafka(), gateways: 2 });
    const chat = await startChat(context, world);
    const load = chat.start(perSecond);
    context.defer(() => load.stop());
    for (let round = 1; round <= rounds; round += 1) {
      await sleep(2000);
      await world.kafka.kill();
      await sleep(1000);
      await world.kafka.restart();
      // The next kill is to hit a gateway that works again.
      await waitFor(() => chat.ledger.pending < perSecond, { timeoutMs: 60_000, what: "the acks to catch up" });
      context.progress(`round ${round}, ${chat.ledger.pending} not acked`);
    }
    await sleep(2000);
    load.stop();
    const accounted = await chat.settle(60_000);
    return { ...accounted, failures: [...accounted.failures, ...lostSockets(chat.clients)] };
  },
};
