// The scenarios of gateways and sockets, as `make chaos` lists them.
import type { Context, Figures, Scenario } from "../scenario.ts";
import { allCut } from "./all-cut.ts";
import { clockOff } from "./clock-off.ts";
import { sizes as drainedSizes, gatewayDrained } from "./drained.ts";
import { devicesHop } from "./hopping.ts";
import { gatewayKilled } from "./killed.ts";
import { neverReading } from "./never-reading.ts";
import { gatewayRestarted, sizes as restartedSizes } from "./restarted.ts";
import { createStage, type Stage } from "./stage.ts";
import { oldGatewayThawed } from "./thawed.ts";

export const gatewayScenarios: readonly Scenario[] = [
  {
    name: "gateway-killed",
    title: "gateway kill -9 with 1,000 clients",
    promise: "all back on the others within 10 s, 0 missing after resume, 0 shown twice",
    run: on(gatewayKilled),
  },
  {
    name: "gateway-restarted",
    title: "gateway kill -9 and restart with the same id, 5 times",
    promise: "first record ≤ 3 s median, 5 s worst; 0 missing",
    shortPromise: `first record ≤ ${restartedSizes.short.worstMs / 1000} s; 0 missing`,
    run: on(gatewayRestarted),
  },
  {
    name: "gateway-drained",
    title: "SIGTERM under load, 3,000 sockets",
    promise:
      "0 acked lost, all got 1012, busiest second of the reconnects ≤ 20 %, exit 0 in time, no record routed there after its key was gone",
    shortPromise: `0 acked lost, all got 1012, busiest second of the reconnects ≤ ${100 * drainedSizes.short.busiest} %, exit 0 in time, no record routed there after its key was gone`,
    run: on(gatewayDrained),
  },
  {
    name: "all-cut",
    title: "all 3,000 sockets cut at once",
    promise: "all back ≤ 60 s, others are answered meanwhile",
    run: on(allCut),
  },
  {
    name: "old-gateway-thawed",
    title: "old gateway of the same id thawed after its successor took over",
    promise: "it drains, steals nothing, nobody silently deaf",
    run: on(oldGatewayThawed),
  },
  {
    name: "never-reading",
    title: "100 sockets that never read among 1,000",
    promise: "closed 4008, memory bounded, others' median ≤ 1.2 ×, p99 ≤ 2 × over five alternating runs",
    shortPromise: "closed 4008, memory bounded; others' latency is not judged",
    run: on(neverReading),
  },
  {
    name: "devices-hop",
    title: "two devices hop between gateways every 2 s for 3 minutes under load",
    promise: "per device no gap, no duplicate shown, order kept; presence right at the end",
    run: on(devicesHop),
  },
  {
    name: "clock-off",
    title: "clock 120 s off on one gateway",
    promise: "tokens are judged by that clock, leases and heartbeats go on",
    run: on(clockOff),
  },
];

function on(scenario: (stage: Stage) => Promise<Figures>): (context: Context) => Promise<Figures> {
  return async (context) => scenario(await createStage(context));
}
