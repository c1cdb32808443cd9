// One answer to a Produce is lost while other sends wait: the broker has the records, the gateway does not know.
import { setTimeout as sleep } from "node:timers/promises";
import { startFaultProxy } from "@im-gateway/tools/fault-proxy";
import { startKafka } from "@im-gateway/tools/kafka";
import { freePort } from "@im-gateway/tools/process";
import { startChat } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { lostSockets } from "../verdicts.ts";
import { startWorld } from "../world.ts";

const produce = 0;

export const replyDropped: Scenario = {
  name: "reply-dropped",
  title: "one Produce reply dropped by the proxy, with concurrent sends",
  promise: "0 acked lost, 0 reordered, no socket lost",
  async run(context) {
    const rounds = context.scale === "full" ? 10 : 2;
    const port = await freePort();
    const proxy = await startFaultProxy(port, { protocol: "kafka" });
    context.defer(() => proxy.close());
    const world = await startWorld(context, {
      kafka: startKafka({ proxied: { port, advertised: proxy.port } }),
      gatewayBrokers: [proxy.endpoint],
    });
    const chat = await startChat(context, world);
    const load = chat.start(500);
    context.defer(() => load.stop());
    for (let round = 1; round <= rounds; round += 1) {
      await sleep(1000);
      await proxy.dropReply({ apiKey: produce, naming: "upstream" });
      context.progress(`reply ${round} dropped, ${chat.ledger.pending} not acked`);
    }
    await sleep(2000);
    load.stop();
    const { account, further, failures } = await chat.settle();
    return {
      account,
      further: { ...further, "replies dropped": rounds },
      failures: [...failures, ...lostSockets(chat.clients)],
    };
  },
};
