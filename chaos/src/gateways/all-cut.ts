// All sockets cut at once: everybody comes back, and whoever else asks something is answered meanwhile.
import { waitFor } from "@im-gateway/tools/process";
import { busiestSecond, createCrowd } from "../fleet/crowd.ts";
import type { Figures } from "../scenario.ts";
import { createFindings } from "./outcome.ts";
import type { Stage } from "./stage.ts";

const sizes = {
  short: { groups: 50, messagesPerSecond: 50, afterMs: 1000 },
  full: { groups: 500, messagesPerSecond: 200, afterMs: 10_000 },
} as const;

const backMs = 60_000;
const probeEveryMs = 100;
const probeTimeoutMs = 5000;

export async function allCut(stage: Stage): Promise<Figures> {
  const { groups, messagesPerSecond, afterMs } = sizes[stage.scale];
  const gateways = [await stage.start("gateway-a"), await stage.start("gateway-b")];
  const ports = gateways.map(({ port }) => port);
  const [port = 0] = ports;
  const crowd = await createCrowd({ ...stage, groups, membersPerGroup: 6, targets: () => ports });
  const { fleet, load } = crowd;
  const findings = createFindings();
  try {
    await fleet.start(30_000);
    const [asking] = fleet.clients;
    crowd.send({ messagesPerSecond });
    await stage.pause(1000);
    const cutMs = performance.now();
    for (const client of fleet.clients) client.cut();
    // Somebody else's requests, to the end of the storm.
    const answersMs: number[] = [];
    let unanswered = 0;
    const everybodyBack = (): boolean => fleet.clients.every(({ settled }) => settled);
    const asked: Promise<void>[] = [];
    while (!everybodyBack() && performance.now() - cutMs < backMs) {
      asked.push(
        stage.ask(port, "/users/me", asking?.device.token ?? "", probeTimeoutMs).then((answer) => {
          if (answer.status === 200) answersMs.push(answer.tookMs);
          else unanswered += 1;
        }),
      );
      await stage.pause(probeEveryMs);
    }
    await waitFor(everybodyBack, {
      timeoutMs: backMs,
      what: () => `all to be back: ${fleet.clients.filter((one) => !one.settled).length} are not`,
    });
    await Promise.all(asked);
    await stage.pause(afterMs);
    await load.stop(60_000);
    const back = fleet.clients.map(({ connectedMs }) => connectedMs.at(-1) ?? Number.POSITIVE_INFINITY);
    findings.figure("sockets cut", fleet.clients.length);
    findings.atMost("last one back, ms", Math.max(...back) - cutMs, backMs);
    findings.figure("busiest second", busiestSecond(back));
    findings.figure("handshakes refused", fleet.counts.refusals);
    findings.figure("told to resync", fleet.counts.resyncs);
    findings.figure("others' requests", answersMs.length + unanswered);
    findings.exactly("others' requests not answered", unanswered, 0);
    findings.figure("others' slowest answer, ms", Math.max(0, ...answersMs));
    findings.delivery(await crowd.delivery(stage, port, 30_000));
    return findings.figures();
  } finally {
    fleet.stop();
  }
}
