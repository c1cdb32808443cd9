// The only broker is frozen: no connection ends and nothing answers.
import { setTimeout as sleep } from "node:timers/promises";
import { startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { startChat } from "../load.ts";
import type { Scenario } from "../scenario.ts";
import { lostSockets, unanswered } from "../verdicts.ts";
import { metric, residentBytes, startWorld } from "../world.ts";

const answerLimitMs = 4500;
const recoveryLimitMs = 10_000;
/** What the gateway's heap may have: V8 collects as late as it is let, so that only a limit tells what is held from what is garbage. */
const heapLimitMib = 256;
/** With what is beside the heap. */
const residentLimitMib = 512;
const mib = 1024 * 1024;

export const brokerFrozen: Scenario = {
  name: "broker-frozen",
  title: "broker frozen 45 s, under 500 msg/s",
  promise: `every send answered within 4.5 s, no socket lost; memory bounded (it lives with a heap of ${heapLimitMib} MiB, resident ≤ ${residentLimitMib} MiB); recovered ≤ 10 s after`,
  async run(context) {
    const { frozenMs, perSecond } =
      context.scale === "full" ? { frozenMs: 45_000, perSecond: 500 } : { frozenMs: 6000, perSecond: 200 };
    const world = await startWorld(context, {
      kafka: startKafka(),
      gatewayEnv: { NODE_OPTIONS: `--max-old-space-size=${heapLimitMib}` },
    });
    const chat = await startChat(context, world);
    const { ledger } = chat;
    const load = chat.start(perSecond);
    context.defer(() => load.stop());
    await sleep(2000);
    const pid = world.gateways[0]?.program.pid ?? 0;
    const metrics = world.gateways[0]?.address.metrics ?? "";
    const before = residentBytes(pid);
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, residentBytes(pid));
    }, 100);
    context.defer(() => clearInterval(watch));
    world.kafka.freeze();
    context.defer(() => world.kafka.thaw());
    await sleep(frozenMs / 2);
    const peakAtHalf = peak;
    const heapAtHalf = await heapMib(metrics);
    await sleep(frozenMs / 2);
    const peakFrozen = peak;
    const heapFrozen = await heapMib(metrics);
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
    const resident = Math.round(peak / mib);
    const slowest = Math.max(ledger.slowestAnswerMs, oldestMs);
    return {
      account,
      further: {
        ...further,
        "sends whose connection ended": ledger.abandonedTries,
        "not acked at the thaw": waiting,
        "recovered after, ms": recoveredMs,
        "memory before, MiB": Math.round(before / mib),
        "peak in the first half, MiB": Math.round(peakAtHalf / mib),
        "peak in the second half, MiB": Math.round(peakFrozen / mib),
        "heap in use at half and at the end, MiB": `${heapAtHalf}, ${heapFrozen}`,
        "peak over all, MiB": resident,
      },
      failures: [
        ...failures,
        ...unanswered(ledger),
        ...lostSockets(chat.clients),
        ...(slowest > answerLimitMs ? [`a send was answered after ${Math.round(slowest)} ms`] : []),
        ...(recoveredMs > recoveryLimitMs ? [`recovered after ${recoveredMs} ms`] : []),
        ...(resident > residentLimitMib ? [`${resident} MiB were resident`] : []),
      ],
    };
  },
};

/** With garbage that was not collected yet. */
async function heapMib(metrics: string): Promise<number> {
  return Math.round((await metric(metrics, "nodejs_heap_size_used_bytes")) / mib);
}
