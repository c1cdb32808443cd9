// The only broker is frozen: no connection ends and nothing answers.
import { setTimeout as sleep } from "node:timers/promises";
import { startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { startChat } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { residentBytes, startWorld } from "../world.ts";

const answerLimitMs = 4500;
const recoveryLimitMs = 10_000;
/** Without a bound, half a minute of sends held in memory takes several hundred. */
const growthLimitMib = 150;
const mib = 1024 * 1024;

export const brokerFrozen: Scenario = {
  name: "broker-frozen",
  title: "broker frozen 45 s, under 500 msg/s",
  promise: `every send answered within 4.5 s; memory bounded (growth ≤ ${growthLimitMib} MiB); recovered ≤ 10 s after`,
  async run(context) {
    const { frozenMs, perSecond } =
      context.scale === "full" ? { frozenMs: 45_000, perSecond: 500 } : { frozenMs: 6000, perSecond: 200 };
    const world = await startWorld(context, { kafka: startKafka() });
    const chat = await startChat(context, world);
    const { ledger } = chat;
    const load = chat.start(perSecond);
    context.defer(() => load.stop());
    await sleep(2000);
    const pid = world.gateways[0]?.program.pid ?? 0;
    const before = residentBytes(pid);
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, residentBytes(pid));
    }, 250);
    context.defer(() => clearInterval(watch));
    world.kafka.freeze();
    context.defer(() => world.kafka.thaw());
    await sleep(frozenMs);
    const { count, oldestMs } = ledger.unanswered();
    const waiting = ledger.pending;
    context.progress(`${waiting} not acked, ${count} not answered, the oldest for ${Math.round(oldestMs)} ms`);
    world.kafka.thaw();
    const thawedMs = performance.now();
    const everywhere = (): boolean =>
      [...chat.conversations.keys()].every((conversationId) => ledger.lastAckMs(conversationId) > thawedMs);
    await waitFor(everywhere, { timeoutMs: 60_000, what: "an ack in every conversation after the thaw" });
    const recoveredMs = Math.round(performance.now() - thawedMs);
    await sleep(2000);
    load.stop();
    const { account, further, failures } = await chat.settle(60_000);
    const growth = Math.round((peak - before) / mib);
    const slowest = Math.max(ledger.slowestAnswerMs, oldestMs);
    return {
      account,
      further: {
        ...further,
        "not acked at the thaw": waiting,
        "recovered after, ms": recoveredMs,
        "memory before, MiB": Math.round(before / mib),
        "memory's growth, MiB": growth,
      },
      failures: [
        ...failures,
        ...(slowest > answerLimitMs ? [`a send was answered after ${Math.round(slowest)} ms`] : []),
        ...(recoveredMs > recoveryLimitMs ? [`recovered after ${recoveredMs} ms`] : []),
        ...(growth > growthLimitMib ? [`memory grew by ${growth} MiB`] : []),
      ],
    };
  },
};
