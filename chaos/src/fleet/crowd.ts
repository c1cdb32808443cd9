// People in groups, each with a device in one fleet, and a load that is sent to the groups.
import { type Client, createFleet, type Fleet, type Frame } from "./fleet.ts";
import {
  createLoad,
  type Delivery,
  deliveryOf,
  type Group,
  type Load,
  type LoadOptions,
  type UpstreamLog,
} from "./load.ts";
import { accessToken, createPeople } from "./people.ts";

export interface CrowdOptions {
  /** host:port of im-logic's gRPC. */
  readonly grpcAddr: string;
  /** Of the tokens. */
  readonly secret: string;
  readonly groups: number;
  readonly membersPerGroup: number;
  /** Ports of the gateways that this client may dial. @param member its place in the group; 0 is who sends */
  readonly targets: (member: number, group: number) => readonly number[];
  readonly onFrame?: (client: Client, frame: Frame) => void;
}

export interface Crowd {
  readonly fleet: Fleet;
  readonly groups: readonly Group[];
  readonly load: Load;
  send(options: Pick<LoadOptions, "messagesPerSecond">): void;
  /** Once the load has stopped. @param port of a gateway that answers REST */
  delivery(log: UpstreamLog, port: number, timeoutMs: number): Promise<Delivery>;
}

export async function createCrowd(options: CrowdOptions): Promise<Crowd> {
  const { grpcAddr, secret, membersPerGroup, targets, onFrame } = options;
  const places = Array.from({ length: options.groups }, (_, group) =>
    Array.from({ length: membersPerGroup }, (_, member) => group * membersPerGroup + member),
  );
  const people = await createPeople(grpcAddr, options.groups * membersPerGroup, places);
  const load = createLoad();
  const fleet = createFleet({
    devices: people.userIds.map((userId) => ({ userId, token: accessToken(secret, userId) })),
    targets: ({ index }) => targets(index % membersPerGroup, Math.floor(index / membersPerGroup)),
    onAck: (ack) => load.onAck(ack),
    ...(onFrame === undefined ? {} : { onFrame }),
  });
  const groups = people.groups.map(({ conversationId, members }) => ({
    conversationId,
    clients: members.flatMap((member) => fleet.clients[member] ?? []),
  }));
  return {
    fleet,
    groups,
    load,
    send: ({ messagesPerSecond }) => load.start({ groups, messagesPerSecond }),
    delivery: (log, port, timeoutMs) => deliveryOf(load, groups, log, port, timeoutMs),
  };
}

/** The largest part of `timesMs` that falls into one second, wherever that begins: 0 to 1. */
export function busiestSecond(timesMs: readonly number[]): number {
  const sorted = [...timesMs].sort((one, other) => one - other);
  let most = 0;
  let first = 0;
  for (const [last, time] of sorted.entries()) {
    while (time - (sorted[first] ?? time) >= 1000) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return sorted.length === 0 ? 0 : most / sorted.length;
}

/** @param part 0.5 for the median */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
