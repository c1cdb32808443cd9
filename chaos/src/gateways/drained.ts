// SIGTERM under load: every socket is told to come back elsewhere, in its own time, and nothing is lost or sent after it.
import { waitFor } from "@im-gateway/tools/process";
import { busiestSecond, createCrowd } from "../fleet/crowd.ts";
import type { Figures } from "../scenario.ts";
import { createFindings } from "./outcome.ts";
import type { Stage } from "./stage.ts";

export const sizes = {
  // A few sockets beside other tests: they leave in waves, but a wave that is late joins the next.
  short: { groups: 20, messagesPerSecond: 50, drainTimeout: "14s", drainMs: 14_000, afterMs: 1000, busiest: 0.5 },
  full: { groups: 600, messagesPerSecond: 200, drainTimeout: "30s", drainMs: 30_000, afterMs: 5000, busiest: 0.2 },
} as const;

const restart = 1012;

/** Five members of each group are on the gateway that drains; the sixth is elsewhere, and sends in every other group. */
export async function gatewayDrained(stage: Stage): Promise<Figures> {
  const { groups, messagesPerSecond, drainTimeout, drainMs, afterMs, busiest } = sizes[stage.scale];
  const leaving = await stage.start("gateway-a", { set: [`server.drain_timeout=${drainTimeout}`] });
  const [second, third] = [await stage.start("gateway-b"), await stage.start("gateway-c")];
  const key = stage.watchKey("/services/im-gateway/gateway-a");
  let began = false;
  const all = [leaving.port, second.port, third.port];
  const crowd = await createCrowd({
    ...stage,
    groups,
    membersPerGroup: 6,
    targets: (member, group) => {
      if (began) return all;
      return [member === (group % 2 === 0 ? 0 : 5) ? second.port : leaving.port];
    },
  });
  const { fleet, load } = crowd;
  const findings = createFindings();
  try {
    await fleet.start(60_000);
    const moved = fleet.clients.filter(({ port }) => port === leaving.port);
    crowd.send({ messagesPerSecond });
    await stage.pause(2000);
    began = true;
    const termMs = performance.now();
    const exit = await stage.stop(leaving, drainMs + 15_000);
    const exitMs = performance.now() - termMs;
    const goneMs = await key.deletedMs(1000);
    await waitFor(() => fleet.clients.every(({ settled }) => settled), {
      timeoutMs: 60_000,
      what: () => `all to be back: ${fleet.clients.filter((one) => !one.settled).length} are not`,
    });
    await stage.pause(afterMs);
    await load.stop(60_000);
    findings.figure("sockets", moved.length);
    findings.exactly("closed otherwise than 1012", moved.filter(({ lastCode }) => lastCode !== restart).length, 0);
    findings.figure("told by goaway", fleet.counts.goaways);
    const back = moved.map(({ connectedMs }) => connectedMs[1] ?? Number.POSITIVE_INFINITY);
    findings.figure("first one back, ms", Math.min(...back) - termMs);
    findings.figure("last one back, ms", Math.max(...back) - termMs);
    findings.atMost("busiest second", busiestSecond(back), busiest);
    findings.exactly("exit", exit.code ?? String(exit.signal), 0);
    findings.atMost("ended after, ms", exitMs, drainMs);
    if (goneMs === undefined) findings.exactly("key deleted", "no", "yes");
    else {
      const late = await stage.recordsAfter("downstream-gateway-a", goneMs);
      findings.exactly("records routed there after its key was gone", late, 0);
    }
    findings.figure("told to resync", fleet.counts.resyncs);
    findings.figure("longest ack, ms", load.longestAckMs);
    findings.delivery(await crowd.delivery(stage, second.port, 30_000));
    return findings.figures();
  } finally {
    fleet.stop();
  }
}
