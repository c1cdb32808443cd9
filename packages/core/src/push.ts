// PushService: what back ends may ask of this gateway's own connections.
import type { ServiceImpl } from "@connectrpc/connect";
import type { ConnectionInfo, PushFrame, PushService } from "@im-gateway/proto";
import type { EncodedFrame } from "./adapters.ts";
import type { Connection } from "./connection.ts";
import type { Control } from "./control.ts";
import { type Counters, countDelivery } from "./counters.ts";
import { encodeForeignFrame } from "./frame/codec.ts";
import { type Place, placeOfForeign } from "./frame/place.ts";
import type { Hub } from "./hub.ts";
import type { Connections } from "./session/connections.ts";

export interface PushOptions {
  readonly hub: Hub;
  readonly connections: Connections;
  readonly control: Pick<Control, "kick">;
  readonly counters: Counters;
  /** Begins the drain; does not wait for it. */
  readonly drain: () => void;
  readonly now: () => number;
}

const defaultPageSize = 20;

/** Requests have been checked against the contract. */
export function createPush(options: PushOptions): ServiceImpl<typeof PushService> {
  const { hub, connections, control, counters, drain, now } = options;
  const encode = (frame: PushFrame | undefined): EncodedFrame =>
    encodeForeignFrame(frame?.type ?? "", frame?.data ?? {}, now());

  /** @returns how many took it */
  const send = (frame: EncodedFrame, place: Place | undefined, to: Iterable<Connection>): number => {
    let receivers = 0;
    for (const connection of to) {
      receivers += connections.send(connection, frame, place) ? 1 : 0;
    }
    return receivers;
  };

  const ofUser = (userId: string): Iterable<Connection> =>
    hub.find({ userIds: [userId], connectionIds: [], excludedConnectionIds: [], broadcast: false });

  return {
    push({ userIds, frame }) {
      const encoded = encode(frame);
      const place = placeOf(frame);
      const delivered: string[] = [];
      const offline: string[] = [];
      let receivers = 0;
      const droppedBefore = counters.deliveriesDropped;
      for (const userId of new Set(userIds)) {
        const here = [...ofUser(userId)];
        const taken = send(encoded, place, here);
        if (taken > 0) {
          delivered.push(userId);
        } else if (here.length === 0) {
          offline.push(userId);
        }
        receivers += taken;
      }
      countDelivery(counters, frame?.type ?? "", receivers, counters.deliveriesDropped - droppedBefore);
      return { delivered, offline };
    },

    broadcast({ frame }) {
      const droppedBefore = counters.deliveriesDropped;
      const delivered = send(encode(frame), placeOf(frame), hub.all());
      countDelivery(counters, frame?.type ?? "", delivered, counters.deliveriesDropped - droppedBefore);
      return { delivered };
    },

    kick({ userId, deviceId, reason }) {
      return { kicked: control.kick({ userId, deviceId, sessionId: "", tokenId: "" }, { reason }) };
    },

    listConnections({ userId, pageSize, pageToken }) {
      const size = pageSize || defaultPageSize;
      const page = smallestIds(userId === "" ? hub.all() : ofUser(userId), pageToken, size + 1);
      const shown = page.slice(0, size);
      return {
        connections: shown.flatMap(connectionInfo),
        nextPageToken: page.length > size ? (shown.at(-1)?.id ?? "") : "",
      };
    },

    drain() {
      drain();
      return {};
    },
  };
}

/** In order, of those above `after`. Not all are sorted for one page: there may be 100,000. */
function smallestIds(connections: Iterable<Connection>, after: string, count: number): readonly Connection[] {
  const page: Connection[] = [];
  for (const connection of connections) {
    const { id } = connection;
    const last = page.at(-1);
    if (id > after && (page.length < count || (last !== undefined && id < last.id))) {
      const place = page.findIndex((other) => other.id > id);
      page.splice(place === -1 ? page.length : place, 0, connection);
      page.length = Math.min(page.length, count);
    }
  }
  return page;
}

function placeOf(frame: PushFrame | undefined): Place | undefined {
  return frame?.data === undefined ? undefined : placeOfForeign(frame.type, frame.data);
}

function connectionInfo({ id, identity, openedMs }: Connection): Omit<ConnectionInfo, "$typeName">[] {
  if (identity === undefined) {
    return [];
  }
  const { userId, deviceId } = identity;
  return [{ connectionId: id, userId, deviceId, connectedAt: BigInt(Math.floor(openedMs / 1000)) }];
}
