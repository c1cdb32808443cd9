// im-logic is killed and started again while people write.
import { setTimeout as sleep } from "node:timers/promises";
import { startKafka } from "@im-gateway/tools/kafka";
import { startCalls } from "../calls.ts";
import { startChat } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { lostSockets, tooManyFailed } from "../verdicts.ts";
import { startWorld } from "../world.ts";

/** im-logic's old endpoint stays in etcd for a lease after a kill -9. */
const firstMs = 2000;

export const logicKilled: Scenario = {
  name: "logic-killed",
  title: "im-logic kill -9 and restart, 3 times",
  promise: "sockets stay; errors ≤ 1 % after the first few calls; no crash; 0 missing",
  async run(context) {
    const { rounds, awayMs } = context.scale === "full" ? { rounds: 3, awayMs: 5000 } : { rounds: 1, awayMs: 2000 };
    const world = await startWorld(context, { kafka: startKafka(), gateways: 2 });
    const chat = await startChat(context, world, { groups: 10 });
    const [, someone] = [...chat.conversations.values()];
    if (someone === undefined) throw new Error("nobody is there to call");
    const calls = startCalls(
      50,
      world.gateways.map(({ address }) => address.http),
      someone,
    );
    context.defer(() => calls.stop());
    const load = chat.start(100);
    context.defer(() => load.stop());
    const failures: string[] = [];
    let made = 0;
    let failed = 0;
    for (let round = 1; round <= rounds; round += 1) {
      await sleep(1000);
      await world.logic.kill();
      await sleep(awayMs);
      await world.logic.start();
      await sleep(firstMs);
      void calls.closeWindow();
      await sleep(5000);
      const after = await calls.closeWindow();
      context.progress(`round ${round}: ${after.failed} of ${after.made} calls failed, ${after.firstFailure}`);
      failures.push(...tooManyFailed(after, `after restart ${round}`));
      made += after.made;
      failed += after.failed;
    }
    load.stop();
    await calls.stop();
    const { account, further, failures: missed } = await chat.settle();
    return {
      account,
      further: { ...further, "calls after the restarts": made, "calls that failed then": failed },
      failures: [...missed, ...failures, ...lostSockets(chat.clients)],
    };
  },
};
