// Topic `user-events`: connections come and go.
import { type ConsumerRecord, decodeRecord, type Log } from "@im-gateway/core";
import { type UserEvent, UserEventSchema } from "@im-gateway/proto";
import type { Downstream, Outgoing } from "./downstream.ts";
import { lateMessage } from "./fanout.ts";
import { checkPresent, requireValid, violation } from "./fields.ts";
import type { Members } from "./members.ts";
import type { Messages } from "./messages.ts";
import type { Poison } from "./poison.ts";
import type { Recent } from "./recent.ts";
import type { RouteEvent, Routes } from "./routes.ts";
import type { Store } from "./store.ts";

export interface UserEventsOptions {
  readonly store: Store;
  readonly members: Members;
  readonly messages: Messages;
  readonly routes: Routes;
  readonly recent: Recent;
  readonly downstream: Downstream;
  readonly poison: Poison;
  readonly log: Log;
  readonly now: () => number;
}

/** How far before its connecting a connection's missed messages may lie: clocks differ, and the event has whole seconds. */
const catchUpMs = 5000;
/** How late a `connected` may come for its catch-up to go back to the connecting. */
const maxLagMs = 60_000;

interface Connected {
  readonly event: RouteEvent;
  readonly routeNo: number;
}

/**
 * Takes the records of one partition, in order. Routes are recorded first; then each new connection gets what was stored around its
 * connecting and not routed to it, unless it has resumed. Rejects only when the database fails.
 */
export function createUserEvents(options: UserEventsOptions): (records: readonly ConsumerRecord[]) => Promise<void> {
  const { store, members, messages, routes, recent, downstream, poison, log, now } = options;

  function take(record: ConsumerRecord): Connected[] {
    const userEvent = poison.read(record, readUserEvent);
    if (userEvent === undefined) {
      return [];
    }
    const event = toRouteEvent(userEvent, now());
    if (userEvent.event === "disconnected") {
      routes.disconnect(event);
      return [];
    }
    const routeNo = routes.connect(event);
    if (routeNo === undefined) {
      const { gatewayId, gatewayEpoch, connectionId } = event;
      log("warn", "a connection that has ended, or of an epoch that is over, is not routed to", {
        of_gateway: gatewayId,
        gateway_epoch: gatewayEpoch,
        connection_id: connectionId,
        user_id: event.userId,
      });
    }
    return routeNo === undefined ? [] : [{ event, routeNo }];
  }

  function catchUp({ event, routeNo }: Connected): Outgoing[] {
    const since = Math.max(now() - maxLagMs, Math.min(now(), event.atMs) - catchUpMs);
    const missed = recent.missedBy(routeNo, since);
    if (missed.length === 0) {
      return [];
    }
    const mine = new Set(members.conversationIdsOf(event.userId));
    return missed
      .filter(({ conversationId, connectionId }) => mine.has(conversationId) && connectionId !== event.connectionId)
      .flatMap(({ conversationId, seqId, traceId }) => {
        const message = messages.get(conversationId, seqId);
        return message === undefined ? [] : [lateMessage(message, traceId, event)];
      });
  }

  return async (records) => {
    const connected = store.transaction(() => records.flatMap(take));
    await downstream.publish(connected.flatMap(catchUp));
    await poison.buried();
  };
}

function toRouteEvent(userEvent: UserEvent, presentMs: number): RouteEvent {
  const { userId, gatewayId, connectionId, gatewayEpoch, seq, timestamp } = userEvent;
  const atMs = timestamp > 0n ? Number(timestamp) * 1000 : presentMs;
  return { userId, gatewayId, connectionId, gatewayEpoch: Number(gatewayEpoch), seq: Number(seq), atMs };
}

function readUserEvent(value: Uint8Array | null): UserEvent {
  const event = decodeRecord(UserEventSchema, value);
  requireValid(
    event.event === "connected" || event.event === "disconnected" ? undefined : violation("event", "is not known"),
    checkPresent("user_id", event.userId),
    checkPresent("gateway_id", event.gatewayId),
    checkPresent("connection_id", event.connectionId),
  );
  return event;
}
