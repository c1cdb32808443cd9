// Kill -9 of a gateway with all its clients: they come back on the others, and miss nothing.
import { waitFor } from "@im-gateway/tools/process";
import { createCrowd } from "../fleet/crowd.ts";
import type { Figures } from "../scenario.ts";
import { createFindings } from "./outcome.ts";
import type { Stage } from "./stage.ts";

const sizes = {
  short: { groups: 25, messagesPerSecond: 50, beforeMs: 1000, afterMs: 2000 },
  full: { groups: 250, messagesPerSecond: 200, beforeMs: 5000, afterMs: 10_000 },
} as const;

const backMs = 10_000;

/** Four members of each group are on the victim, one more on another gateway; in every other group that one sends. */
export async function gatewayKilled(stage: Stage): Promise<Figures> {
  const { groups, messagesPerSecond, beforeMs, afterMs } = sizes[stage.scale];
  const [victim, ...others] = [
    await stage.start("gateway-a"),
    await stage.start("gateway-b"),
    await stage.start("gateway-c"),
  ];
  const [second] = others;
  if (victim === undefined || second === undefined) throw new Error("three gateways are needed");
  let began = false;
  const all = [victim, ...others].map(({ port }) => port);
  const crowd = await createCrowd({
    ...stage,
    groups,
    membersPerGroup: 5,
    targets: (member, group) => {
      if (began) return all;
      return [member === (group % 2 === 0 ? 0 : 4) ? second.port : victim.port];
    },
  });
  const { fleet, load } = crowd;
  const findings = createFindings();
  try {
    await fleet.start(30_000);
    const victims = fleet.clients.filter(({ port }) => port === victim.port);
    crowd.send({ messagesPerSecond });
    await stage.pause(beforeMs);
    began = true;
    const killedMs = performance.now();
    await victim.program.kill();
    await waitFor(() => victims.every(({ settled }) => settled), {
      timeoutMs: 60_000,
      what: () => `all clients to be back: ${victims.filter((one) => !one.settled).length} are not`,
    });
    await stage.pause(afterMs);
    await load.stop(30_000);
    findings.figure("clients of the killed gateway", victims.length);
    const back = victims.map(({ connectedMs }) => (connectedMs[1] ?? Number.POSITIVE_INFINITY) - killedMs);
    findings.atMost("last one back, ms", Math.max(...back), backMs);
    findings.figure("told to resync", fleet.counts.resyncs);
    findings.figure("longest ack, ms", load.longestAckMs);
    findings.delivery(await crowd.delivery(stage, second.port, 20_000));
    return findings.figures();
  } finally {
    fleet.stop();
  }
}
