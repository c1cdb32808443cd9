// Kill -9 of a gateway and a restart with the same id, five times: how soon it delivers, and that nothing is missing.
import { waitFor } from "@im-gateway/tools/process";
import { createCrowd, quantile } from "../fleet/crowd.ts";
import { createFleet } from "../fleet/fleet.ts";
import { accessToken } from "../fleet/people.ts";
import type { Figures } from "../scenario.ts";
import { createFindings } from "./outcome.ts";
import type { Stage } from "./stage.ts";

export const sizes = {
  // One restart beside other tests: that it delivers at all, not how soon.
  short: { groups: 10, restarts: 1, messagesPerSecond: 50, aliveMs: 1000, medianMs: 20_000, worstMs: 20_000 },
  full: { groups: 50, restarts: 5, messagesPerSecond: 100, aliveMs: 4000, medianMs: 3000, worstMs: 5000 },
} as const;

const probeRetryMs = 25;

export async function gatewayRestarted(stage: Stage): Promise<Figures> {
  const { groups, restarts, messagesPerSecond, aliveMs, medianMs, worstMs } = sizes[stage.scale];
  let victim = await stage.start("gateway-a");
  const other = await stage.start("gateway-b");
  const crowd = await createCrowd({
    ...stage,
    groups,
    membersPerGroup: 4,
    // Who sends stays connected; the others have no gateway but the one that is killed.
    targets: (member) => [member === 0 ? other.port : victim.port],
  });
  const { fleet, load } = crowd;
  // A further device of a member of each group, which dials all the time: the clients' own backoff is not what is measured.
  let firstLiveMs: number | undefined;
  const probes = createFleet({
    devices: crowd.groups.flatMap(({ clients }) => {
      const userId = clients[1]?.device.userId;
      return userId === undefined ? [] : [{ userId, token: accessToken(stage.secret, userId) }];
    }),
    targets: () => [victim.port],
    retryMs: probeRetryMs,
    onFrame: (client, { type }) => {
      if (type === "new-message" && client.settled) firstLiveMs ??= performance.now();
    },
  });
  const findings = createFindings();
  const tookMs: number[] = [];
  try {
    await fleet.start(30_000);
    await probes.start(30_000);
    crowd.send({ messagesPerSecond });
    for (let restart = 0; restart < restarts; restart += 1) {
      await stage.pause(aliveMs);
      await victim.program.kill();
      firstLiveMs = undefined;
      const startedMs = performance.now();
      victim = await stage.start("gateway-a", { at: victim });
      const first = await waitFor(() => firstLiveMs, { timeoutMs: 60_000, intervalMs: 5, what: "a live message" });
      tookMs.push(first - startedMs);
    }
    await waitFor(() => [...fleet.clients, ...probes.clients].every(({ settled }) => settled), {
      timeoutMs: 60_000,
      what: "all clients to be back",
    });
    await stage.pause(aliveMs);
    await load.stop(30_000);
    findings.figure("restarts", restarts);
    findings.atMost("first record, median ms", quantile(tookMs, 0.5), medianMs);
    findings.atMost("first record, worst ms", Math.max(...tookMs), worstMs);
    findings.figure("told to resync", fleet.counts.resyncs);
    findings.delivery(await crowd.delivery(stage, other.port, 20_000));
    return findings.figures();
  } finally {
    fleet.stop();
    probes.stop();
  }
}
