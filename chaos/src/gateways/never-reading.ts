// A hundred sockets that never read among a thousand: they are closed 4008, and nobody else notices. Run after run, with and without them.
import { waitFor } from "@im-gateway/tools/process";
import { quantile } from "../fleet/crowd.ts";
import { createFleet } from "../fleet/fleet.ts";
import { createLoad, type Delivery, deliveryOf } from "../fleet/load.ts";
import { accessToken, createPeople } from "../fleet/people.ts";
import type { Figures } from "../scenario.ts";
import { residentBytes } from "../world.ts";
import { createFindings } from "./outcome.ts";
import type { Running, Stage } from "./stage.ts";

const sizes = {
  short: { pairs: 10, slow: 10, runs: 1, messagesPerSecond: 40, everyMs: 10, sendBuffer: "64KiB", warmUpMs: 500 },
  full: { pairs: 450, slow: 100, runs: 5, messagesPerSecond: 200, everyMs: 50, sendBuffer: "1MiB", warmUpMs: 3000 },
} as const;

const slowConsumer = 4008;
/** More in all than the kernel takes for one socket, and the gateway. */
const slowMessages = 400;
const contentBytes = 16_000;
const mib = 1024 * 1024;
/** A frame is written once for all, and each socket may have its bound and what one turn brings; the rest is the runtime's own. */
const allowedGrowthBytes = 256 * mib;

interface Run {
  readonly latenciesMs: readonly number[];
  readonly closed: number;
  readonly rssPeakBytes: number;
  readonly rssBeforeBytes: number;
  readonly bufferedPeakBytes: number;
  readonly delivery: Delivery;
}

export async function neverReading(stage: Stage): Promise<Figures> {
  const { runs, slow } = sizes[stage.scale];
  const findings = createFindings();
  const results: Record<"reading" | "silent", Run[]> = { reading: [], silent: [] };
  for (let run = 0; run < runs; run += 1) {
    // Which comes first alternates too.
    for (const kind of run % 2 === 0 ? (["reading", "silent"] as const) : (["silent", "reading"] as const)) {
      stage.progress(`run ${run + 1}, ${kind}`);
      results[kind].push(await oneRun(stage, kind === "silent"));
    }
  }
  const all = (kind: keyof typeof results, part: number): number =>
    quantile(
      results[kind].map(({ latenciesMs }) => quantile(latenciesMs, part)),
      0.5,
    );
  findings.figure("runs of each kind", runs);
  for (const [index, { closed }] of results.silent.entries())
    findings.exactly(`closed 4008, run ${index + 1}`, closed, slow);
  findings.exactly(
    "closed 4008 while all read",
    results.reading.reduce((sum, { closed }) => sum + closed, 0),
    0,
  );
  findings.figure("others' median, all reading, ms", all("reading", 0.5));
  findings.figure("others' median, ms", all("silent", 0.5));
  findings.figure("others' p99, all reading, ms", all("reading", 0.99));
  findings.figure("others' p99, ms", all("silent", 0.99));
  const medianTimes = all("silent", 0.5) / all("reading", 0.5);
  const p99Times = all("silent", 0.99) / all("reading", 0.99);
  // One short run beside other tests says nothing about latency.
  findings.atMost("others' median, times", medianTimes, stage.scale === "full" ? 1.2 : Number.POSITIVE_INFINITY);
  findings.atMost("others' p99, times", p99Times, stage.scale === "full" ? 2 : Number.POSITIVE_INFINITY);
  const growth = Math.max(...results.silent.map(({ rssPeakBytes, rssBeforeBytes }) => rssPeakBytes - rssBeforeBytes));
  findings.figure(
    "memory grew, all reading, MiB",
    Math.max(...results.reading.map((one) => one.rssPeakBytes - one.rssBeforeBytes)) / mib,
  );
  findings.atMost("memory grew, MiB", growth / mib, allowedGrowthBytes / mib);
  findings.figure("buffered at most, MiB", Math.max(...results.silent.map((one) => one.bufferedPeakBytes)) / mib);
  for (const { delivery } of [...results.reading, ...results.silent]) findings.delivery(delivery);
  return findings.figures();
}

async function oneRun(stage: Stage, silent: boolean): Promise<Run> {
  const { pairs, slow, messagesPerSecond, everyMs, sendBuffer, warmUpMs } = sizes[stage.scale];
  const gateway = await stage.start("gateway-a", { set: [`websocket.send_buffer_bytes=${sendBuffer}`] });
  // The pairs, then one who writes to all that never read, then those.
  const talkers = pairs * 2;
  const people = await createPeople(stage.grpcAddr, talkers + 1 + slow, [
    ...Array.from({ length: pairs }, (_, pair) => [pair * 2, pair * 2 + 1]),
    Array.from({ length: 1 + slow }, (_, index) => talkers + index),
  ]);
  const slowGroup = people.groups.at(-1)?.conversationId ?? "";
  const load = createLoad();
  const sentMs = new Map<string, number>();
  const latenciesMs: number[] = [];
  const fleet = createFleet({
    devices: people.userIds.map((userId) => ({ userId, token: accessToken(stage.secret, userId) })),
    targets: () => [gateway.port],
    onAck: (ack) => {
      if (ack.conversationId !== slowGroup) load.onAck(ack);
    },
    onFrame: ({ index }, { type, data }) => {
      if (type !== "new-message" || index >= talkers) return;
      const sent = sentMs.get(String(data.content));
      if (sent !== undefined) latenciesMs.push(performance.now() - sent);
    },
  });
  const watched = watchMemory(stage, gateway);
  try {
    await fleet.start(30_000);
    const writer = fleet.clients[talkers];
    const quiet = fleet.clients.slice(talkers + 1);
    const groups = people.groups.slice(0, -1).map(({ conversationId, members }) => ({
      conversationId,
      clients: members.flatMap((member) => fleet.clients[member] ?? []),
    }));
    load.start({ groups, messagesPerSecond, onSend: (content, atMs) => sentMs.set(content, atMs) });
    await stage.pause(warmUpMs);
    latenciesMs.length = 0;
    const rssBeforeBytes = residentBytes(gateway.program.pid);
    watched.start();
    if (silent) for (const client of quiet) client.stopReading();
    const filling = "x".repeat(contentBytes);
    for (let message = 0; message < slowMessages; message += 1) {
      writer?.say(slowGroup, `${message} ${filling}`);
      await stage.pause(everyMs);
    }
    const closed = (): Promise<number> =>
      stage.metric(gateway, "im_gateway_websocket_connections_closed_total", `code="${slowConsumer}"`);
    if (silent) {
      await waitFor(async () => (await closed()) >= slow, {
        timeoutMs: 30_000,
        what: "the silent ones to be closed 4008",
      }).catch(() => undefined);
    } else {
      await waitFor(() => quiet.every(({ inbox }) => inbox.cursor(slowGroup) === slowMessages), {
        timeoutMs: 30_000,
        what: "everyone to have read",
      });
    }
    const count = await closed();
    await load.stop(20_000);
    const delivery = await deliveryOf(load, groups, stage, gateway.port, 20_000);
    const { rssPeakBytes, bufferedPeakBytes } = await watched.stop();
    return { latenciesMs, closed: count, rssBeforeBytes, rssPeakBytes, bufferedPeakBytes, delivery };
  } finally {
    fleet.stop();
    await watched.stop();
    await stage.stop(gateway, 45_000);
  }
}

interface Watched {
  start(): void;
  stop(): Promise<{ readonly rssPeakBytes: number; readonly bufferedPeakBytes: number }>;
}

const watchEveryMs = 100;

function watchMemory(stage: Stage, gateway: Running): Watched {
  let rssPeakBytes = 0;
  let bufferedPeakBytes = 0;
  let running = false;
  let watching = Promise.resolve();
  const watch = async (): Promise<void> => {
    while (running) {
      rssPeakBytes = Math.max(rssPeakBytes, residentBytes(gateway.program.pid));
      const buffered = await stage.metric(gateway, "im_gateway_websocket_buffered_bytes");
      bufferedPeakBytes = Math.max(bufferedPeakBytes, buffered);
      await stage.pause(watchEveryMs);
    }
  };
  return {
    start() {
      running = true;
      watching = watch();
    },
    async stop() {
      running = false;
      await watching;
      return { rssPeakBytes, bufferedPeakBytes };
    },
  };
}
