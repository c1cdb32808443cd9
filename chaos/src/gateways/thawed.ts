// A gateway is frozen, another process takes its id over, and then the first one wakes up: it has to see that it is nobody any more.
import { waitFor } from "@im-gateway/tools/process";
import { createCrowd } from "../fleet/crowd.ts";
import type { Figures } from "../scenario.ts";
import { createFindings } from "./outcome.ts";
import type { Stage } from "./stage.ts";

const sizes = {
  short: { groups: 10, messagesPerSecond: 50, pauseMs: 1000 },
  full: { groups: 100, messagesPerSecond: 200, pauseMs: 10_000 },
} as const;

/** The lease's life, by which its loss is noticed (a third of it), and as much again to say goodbye. */
const toldMs = 10_000;

export async function oldGatewayThawed(stage: Stage): Promise<Figures> {
  const { groups, messagesPerSecond, pauseMs } = sizes[stage.scale];
  const old = await stage.start("gateway-a");
  const other = await stage.start("gateway-b");
  let successor: typeof old | undefined;
  const crowd = await createCrowd({
    ...stage,
    groups,
    membersPerGroup: 5,
    // The first one sends and is elsewhere, the second and the third know the old gateway, the others come to the new one.
    targets: (member) => {
      if (member === 0) return [other.port];
      if (member < 3) return [old.port, ...(successor === undefined ? [] : [successor.port])];
      return [successor?.port ?? other.port];
    },
  });
  const { fleet, load } = crowd;
  const findings = createFindings();
  const places = (from: number, to: number): typeof fleet.clients =>
    crowd.groups.flatMap(({ clients }) => clients.slice(from, to));
  try {
    await fleet.start(30_000);
    crowd.send({ messagesPerSecond });
    await stage.pause(pauseMs);
    old.program.freeze();
    const taken = performance.now();
    successor = await stage.start("gateway-a");
    findings.figure("taken over after, ms", performance.now() - taken);
    const newcomers = places(3, 5);
    for (const client of newcomers) client.hop(successor.port);
    await waitFor(() => newcomers.every(({ settled }) => settled), {
      timeoutMs: 20_000,
      what: "clients on the new one",
    });
    await stage.pause(pauseMs);
    const before = newcomers.map(({ connectedMs }) => connectedMs.length);
    const deaf = places(1, 3);
    const thawedMs = performance.now();
    old.program.thaw();
    await waitFor(() => deaf.every(({ settled, port }) => settled && port === successor?.port), {
      timeoutMs: 60_000,
      what: () =>
        `all of the old one's clients to be on the new one: ${deaf.filter((one) => one.port !== successor?.port || !one.settled).length} are not`,
    });
    const told = deaf.map(({ endedMs }) => (endedMs.at(-1) ?? Number.POSITIVE_INFINITY) - thawedMs);
    findings.figure("clients of the old one", deaf.length);
    findings.atMost("the last one told, ms after the thaw", Math.max(...told), toldMs);
    findings.exactly("closed otherwise than 1012", deaf.filter(({ lastCode }) => lastCode !== 1012).length, 0);
    const old503 = await stage.ready(old);
    findings.exactly("the old one is ready", old503 ? "yes" : "no", "no");
    await stage.pause(pauseMs);
    const disturbed = newcomers.filter(({ connectedMs }, index) => connectedMs.length !== before[index]);
    findings.exactly("sockets of the new one that it lost", disturbed.length, 0);
    await load.stop(30_000);
    const delivery = await crowd.delivery(stage, other.port, 20_000);
    findings.exactly(
      "gaps on the new one's sockets",
      newcomers.reduce((sum, { inbox }) => sum + inbox.gaps, 0),
      0,
    );
    findings.figure("told to resync", fleet.counts.resyncs);
    findings.delivery(delivery);
    return findings.figures();
  } finally {
    old.program.thaw();
    fleet.stop();
  }
}
