// The clock of one gateway is two minutes off, to either side: what that does to tokens, and that it does nothing to leases and heartbeats.
import { join } from "node:path";
import { waitFor } from "@im-gateway/tools/process";
import { createCrowd } from "../fleet/crowd.ts";
import { createFleet, type Fleet } from "../fleet/fleet.ts";
import { accessToken } from "../fleet/people.ts";
import type { Figures } from "../scenario.ts";
import { createFindings, type Findings } from "./outcome.ts";
import type { Running, Stage } from "./stage.ts";

const sizes = {
  short: { groups: 5, messagesPerSecond: 20, heldMs: 7000 },
  full: { groups: 50, messagesPerSecond: 100, heldMs: 40_000 },
} as const;

const offMs = 120_000;
const leaseTtl = "2s";
const heartbeats = ["websocket.heartbeat_interval=1s", "websocket.heartbeat_timeout=500ms"];
/** Interval, timeout, and a sweep; then the server waits 2 s for an answer to its close before it counts it. */
const silentMs = 1000 + 500 + 500 + 2000 + 500;
const tokenExpired = 4003;
const heartbeatLost = 4009;

export async function clockOff(stage: Stage): Promise<Figures> {
  const findings = createFindings();
  for (const [name, shiftMs] of [
    ["ahead", offMs],
    ["behind", -offMs],
  ] as const) {
    await withClock(stage, name, shiftMs, findings);
  }
  return findings.figures();
}

async function withClock(stage: Stage, name: string, shiftMs: number, findings: Findings): Promise<void> {
  const { groups, messagesPerSecond, heldMs } = sizes[stage.scale];
  const set = [...heartbeats, `coordinator.lease_ttl=${leaseTtl}`];
  const env = {
    NODE_OPTIONS: `--import=${join(import.meta.dirname, "../clock-shift.ts")}`,
    CLOCK_SHIFT_MS: String(shiftMs),
  };
  const off = await stage.start(`gateway-${name}`, { set, env });
  const right = await stage.start(`gateway-right-${name}`, { set });
  const key = stage.watchKey(`/services/im-gateway/gateway-${name}`);
  const offsetsMs: number[] = [];
  const crowd = await createCrowd({
    ...stage,
    groups,
    membersPerGroup: 2,
    targets: (member) => [member === 0 ? right.port : off.port],
    onFrame: ({ port }, { type, timestamp }) => {
      if (type === "connected" && port === off.port) offsetsMs.push(timestamp - Date.now());
    },
  });
  const { fleet, load } = crowd;
  try {
    await fleet.start(20_000);
    const before = fleet.counts.connected;
    crowd.send({ messagesPerSecond });

    // Tokens are judged by the gateway's own clock.
    const [user = ""] = fleet.clients.map(({ device }) => device.userId);
    const lastsMs = (fromNowMs: number): string =>
      accessToken(stage.secret, user, { expiresMs: Date.now() + fromNowMs });
    const minute = 60_000;
    const wanted = [
      ["ended a minute ago", -minute, shiftMs < 0],
      ["for one more minute", minute, shiftMs < 0],
      ["for three more minutes", 3 * minute, true],
      ["ended three minutes ago", -3 * minute, false],
    ] as const;
    for (const [what, fromNowMs, accepted] of wanted) {
      const { status } = await stage.ask(off.port, "/users/me", lastsMs(fromNowMs), 5000);
      findings.exactly(`${name}: a token ${what}`, status, accepted ? 200 : 401);
      const atRight = await stage.ask(right.port, "/users/me", lastsMs(fromNowMs), 5000);
      findings.exactly(`${name}: the same elsewhere`, atRight.status, fromNowMs > 0 ? 200 : 401);
    }

    // A socket lives until its token's end by that clock: 3 s from now there is 3 s + 2 min here, or 3 s − 2 min.
    const endsThere = await endOf(createSockets(off, lastsMs(shiftMs + 3000)));
    findings.exactly(`${name}: close at the token's end`, endsThere.code, tokenExpired);
    findings.atMost(`${name}: its lateness, ms`, Math.abs(endsThere.afterMs - 3000), 2000);

    // A socket that answers no ping is found in the same time as everywhere.
    const silent = await endOf(createSockets(off, lastsMs(24 * 60 * minute)), { silent: true, stage, off });
    findings.exactly(`${name}: close of a silent one`, silent.code, heartbeatLost);
    findings.atMost(`${name}: found after, ms`, silent.afterMs, silentMs);

    await stage.pause(heldMs);
    findings.exactly(`${name}: its key was lost`, (await key.deletedMs(0)) === undefined ? "no" : "yes", "no");
    findings.exactly(`${name}: sockets lost`, fleet.counts.connected - before, 0);
    const [offset = 0] = offsetsMs;
    findings.figure(`${name}: frames' timestamps off by, s`, Math.round(offset / 1000));
    await load.stop(20_000);
    findings.delivery(await crowd.delivery(stage, right.port, 20_000));
  } finally {
    fleet.stop();
    await Promise.all([stage.stop(off, 45_000), stage.stop(right, 45_000)]);
  }
}

function createSockets(gateway: Running, token: string): Fleet {
  return createFleet({ devices: [{ userId: "", token }], targets: () => [gateway.port], retryMs: 60_000 });
}

/** How one socket ended, counted from its `connected`. */
async function endOf(
  sockets: Fleet,
  deaf?: { readonly silent: true; readonly stage: Stage; readonly off: Running },
): Promise<{ readonly code: number; readonly afterMs: number }> {
  const [client] = sockets.clients;
  if (client === undefined) throw new Error("no socket");
  const closedOf = (): Promise<number> =>
    deaf === undefined
      ? Promise.resolve(0)
      : deaf.stage.metric(deaf.off, "im_gateway_websocket_connections_closed_total", `code="${heartbeatLost}"`);
  try {
    const before = await closedOf();
    await sockets.start(10_000);
    const [connectedMs = 0] = client.connectedMs;
    if (deaf !== undefined) {
      // It reads nothing, so it learns of no ping and of no close: the gateway's count tells.
      client.stopReading();
      await waitFor(async () => (await closedOf()) > before, {
        timeoutMs: 20_000,
        what: "the silent one to be closed",
      });
      return { code: heartbeatLost, afterMs: performance.now() - connectedMs };
    }
    await waitFor(() => client.endedMs.length > 0, { timeoutMs: 20_000, what: "the socket to be closed" });
    return { code: client.lastCode, afterMs: (client.endedMs[0] ?? 0) - connectedMs };
  } finally {
    sockets.stop();
  }
}
