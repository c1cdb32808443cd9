// Two devices of one user hop between gateways under load: each shows everything once and in order, and presence is right at the end.
import { waitFor } from "@im-gateway/tools/process";
import { createFleet } from "../fleet/fleet.ts";
import { createLoad, deliveryOf } from "../fleet/load.ts";
import { accessToken, createPeople } from "../fleet/people.ts";
import type { Figures } from "../scenario.ts";
import { createFindings } from "./outcome.ts";
import type { Stage } from "./stage.ts";

const sizes = {
  short: { hops: 2, messagesPerSecond: 50 },
  full: { hops: 90, messagesPerSecond: 50 },
} as const;

const hopEveryMs = 2000;
/** im-logic waits a while before it calls somebody offline. */
const presenceMs = 15_000;

export async function devicesHop(stage: Stage): Promise<Figures> {
  const { hops, messagesPerSecond } = sizes[stage.scale];
  const gateways = [await stage.start("gateway-a"), await stage.start("gateway-b")];
  const ports = gateways.map(({ port }) => port);
  const [portA = 0, portB = 0] = ports;
  const people = await createPeople(stage.grpcAddr, 2, [[0, 1]]);
  const [sender = "", hopper = ""] = people.userIds;
  const [{ conversationId } = { conversationId: "" }] = people.groups;
  const load = createLoad();
  const token = accessToken(stage.secret, sender);
  const fleet = createFleet({
    devices: [
      { userId: sender, token },
      { userId: hopper, token: accessToken(stage.secret, hopper, { deviceId: "phone" }) },
      { userId: hopper, token: accessToken(stage.secret, hopper, { deviceId: "laptop" }) },
    ],
    targets: ({ port }) => (port === 0 ? ports : [port]),
    onAck: (ack) => load.onAck(ack),
  });
  const findings = createFindings();
  const [, phone, laptop] = fleet.clients;
  if (phone === undefined || laptop === undefined) throw new Error("no devices");
  const online = async (): Promise<boolean | undefined> => {
    const { body } = await stage.ask(portA, `/presence?user_ids=${hopper}`, token, 5000);
    return (body as { presences?: { online: boolean }[] } | undefined)?.presences?.[0]?.online;
  };
  const presenceIs = async (wanted: boolean): Promise<number> => {
    const fromMs = performance.now();
    await waitFor(async () => (await online()) === wanted, {
      timeoutMs: presenceMs,
      what: `presence to be ${wanted ? "online" : "offline"}`,
    });
    return performance.now() - fromMs;
  };
  try {
    await fleet.start(20_000);
    const groups = [{ conversationId, clients: fleet.clients }];
    load.start({ groups, messagesPerSecond });
    for (let hop = 0; hop < hops; hop += 1) {
      await stage.pause(hopEveryMs);
      // Away from each other, so that there is always one on each gateway, for a moment or for none.
      phone.hop(hop % 2 === 0 ? portB : portA);
      laptop.hop(hop % 2 === 0 ? portA : portB);
    }
    await waitFor(() => fleet.clients.every(({ settled }) => settled), { timeoutMs: 20_000, what: "all to be back" });
    await load.stop(20_000);
    const delivery = await deliveryOf(load, groups, stage, portA, 20_000);
    findings.figure("hops of each device", hops);
    findings.figure("told to resync", fleet.counts.resyncs);
    findings.exactly("frames beyond a gap", phone.inbox.gaps + laptop.inbox.gaps, 0);
    findings.delivery(delivery);
    findings.figure("online with both, after ms", await presenceIs(true));
    phone.stop();
    // Longer than any debounce: it has to stay so.
    await stage.pause(presenceMs / 2);
    findings.exactly("online with one", String(await online()), "true");
    laptop.stop();
    findings.figure("offline with none, after ms", await presenceIs(false));
    return findings.figures();
  } finally {
    fleet.stop();
  }
}
