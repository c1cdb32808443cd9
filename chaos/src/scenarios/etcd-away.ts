// etcd is killed, frozen, or cut off from a gateway and compacted meanwhile.
import { setTimeout as sleep } from "node:timers/promises";
import { type Etcd, startEtcd } from "@im-gateway/tools/etcd";
import { type FaultProxy, startFaultProxy } from "@im-gateway/tools/fault-proxy";
import { startKafka } from "@im-gateway/tools/kafka";
import { waitFor } from "@im-gateway/tools/process";
import { startCalls } from "../calls.ts";
import { startChat } from "../load.ts";
import { startLogicEndpoint } from "../logic-endpoint.ts";
import { compact, connectEtcd, registerLogic } from "../registry.ts";
import type { Scenario } from "../scenario.ts";
import { anyFailed, lostSockets } from "../verdicts.ts";
import { startWorld } from "../world.ts";

const registeredLimitMs = 5000;
const leaseMs = 10_000;

interface Absence {
  readonly name: string;
  readonly title: string;
  /** etcd is not there for the gateways. */
  away(etcd: Etcd, proxy: FaultProxy): Promise<void> | void;
  back(etcd: Etcd, proxy: FaultProxy): Promise<void> | void;
  /** Whether the test itself reaches etcd meanwhile, and compacts it. */
  readonly compacts: boolean;
}

const absences: readonly Absence[] = [
  {
    name: "etcd-killed",
    title: "etcd killed for 60 s",
    away: (etcd) => etcd.kill(),
    back: (etcd) => etcd.restart(),
    compacts: false,
  },
  {
    name: "etcd-frozen",
    title: "etcd frozen for 60 s",
    away: (etcd) => etcd.freeze(),
    back: (etcd) => etcd.thaw(),
    compacts: false,
  },
  {
    name: "etcd-compacted",
    title: "etcd cut off from the gateways for 30 s, and compacted meanwhile",
    away: (_etcd, proxy) => proxy.cut(),
    back: (_etcd, proxy) => proxy.mend(),
    compacts: true,
  },
];

export const etcdAway: readonly Scenario[] = absences.map(({ name, title, away, back, compacts }) => ({
  name,
  title,
  promise: "no socket lost, no HTTP error, registered again ≤ 5 s after, new endpoints seen; 0 missing",
  async run(context) {
    const awayMs = context.scale === "full" ? (compacts ? 30_000 : 60_000) : compacts ? 24_000 : 6000;
    const etcd = await startEtcd();
    const proxy = await startFaultProxy(Number(etcd.endpoints[0]?.split(":")[1]));
    const world = await startWorld(context, {
      kafka: startKafka(),
      etcd,
      gateways: 2,
      gatewayEtcd: proxy.endpoint,
    });
    context.defer(() => proxy.close());
    const fresh = await startLogicEndpoint(world.logicGrpc);
    context.defer(() => fresh.close());
    const chat = await startChat(context, world, { groups: 10 });
    const [, someone] = [...chat.conversations.values()];
    if (someone === undefined) throw new Error("nobody is there to call");
    const calls = startCalls(
      50,
      world.gateways.map(({ address }) => address.http),
      someone,
    );
    context.defer(() => calls.stop());
    const load = chat.start(50);
    context.defer(() => load.stop());
    await sleep(1000);

    await away(etcd, proxy);
    await sleep(awayMs / 2);
    if (compacts) {
      await registerLogic(context, etcd, "im-logic-fresh", fresh.port);
      await compact(connectEtcd(context, etcd));
    }
    await sleep(awayMs / 2);
    context.progress(
      `away for ${awayMs} ms: ${calls.tally.failed} of ${calls.tally.made} calls failed, ${calls.tally.firstFailure}`,
    );
    await back(etcd, proxy);
    const backMs = performance.now();
    const keys = connectEtcd(context, etcd);
    const registered = async (): Promise<boolean> =>
      Object.keys(await keys.getAll().prefix("/services/im-gateway/").json()).length === world.gateways.length;
    await waitFor(registered, { timeoutMs: 60_000, what: "both gateways' keys in etcd" });
    const registeredMs = Math.round(performance.now() - backMs);
    if (!compacts) await registerLogic(context, etcd, "im-logic-fresh", fresh.port);
    await waitFor(() => fresh.calls > 0, { timeoutMs: 60_000, what: "a call to the new endpoint" });
    const seenMs = Math.round(performance.now() - backMs);
    // The key may have been the one of a lease that nobody keeps any more.
    await sleep(Math.max(0, leaseMs + 2000 - (performance.now() - backMs)));
    const stays = await registered();
    load.stop();
    await calls.stop();
    const { account, further, failures } = await chat.settle();
    return {
      account,
      further: {
        ...further,
        calls: calls.tally.made,
        "calls that failed": calls.tally.failed,
        "registered after, ms": registeredMs,
        "new endpoint called after, ms": seenMs,
      },
      failures: [
        ...failures,
        ...anyFailed(calls.tally, "in all"),
        ...lostSockets(chat.clients),
        ...(registeredMs > registeredLimitMs ? [`registered again after ${registeredMs} ms`] : []),
        ...(seenMs > registeredLimitMs ? [`the new endpoint was called after ${seenMs} ms`] : []),
        ...(stays ? [] : ["a key was gone again a lease later"]),
      ],
    };
  },
}));
