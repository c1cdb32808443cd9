// Which records a change becomes: one for each gateway that holds someone concerned, not one for each user. Pure.
import { create, type JsonObject } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { codeName, reasonOf } from "@im-gateway/core";
import { type DownstreamRecord, DownstreamRecordSchema, type Message } from "@im-gateway/proto";
import type { Outgoing } from "./downstream.ts";
import type { Route } from "./routes.ts";

/** What a downstream record takes over from its cause, so that a trace goes all the way. */
export interface Trace {
  readonly traceId: string;
  /** `headers` in the record. */
  readonly headers: Readonly<Record<string, string>>;
  /** Kafka headers, `traceparent` among them. */
  readonly kafkaHeaders: Readonly<Record<string, string>>;
}

/** Where a message came from. */
export interface Origin extends Trace {
  /** "" where unknown: there is nobody to answer. */
  readonly gatewayId: string;
  /** "" over HTTP. */
  readonly connectionId: string;
  readonly clientMsgId: string;
}

/** CONTRACT §5: `target_user_ids` has at most so many. */
const maxTargets = 1000;

/**
 * The new-message for everybody but the connection that sent it.
 * @param audience the routes of all members
 */
export function newMessage(message: Message, audience: readonly Route[], origin: Origin): Outgoing[] {
  const { conversationId, senderId, messageType, content, seqId, timestamp, messageId, clientMsgId } = message;
  return byGateway(audience).flatMap(([gatewayId, routes]) => {
    const sender = gatewayId === origin.gatewayId && origin.connectionId !== "" ? [origin.connectionId] : [];
    if (routes.every(({ connectionId }) => sender.includes(connectionId))) {
      return [];
    }
    const record = { conversationId, senderId, messageType, content, seqId, timestamp, messageId, clientMsgId };
    return targets(routes).map((targetUserIds) =>
      outgoing(gatewayId, origin, { ...record, targetUserIds, excludeConnectionIds: sender }),
    );
  });
}

/** A new-message for one connection that was not known yet when the others got it. */
export function lateMessage(message: Message, traceId: string, route: Route): Outgoing {
  const { conversationId, senderId, messageType, content, seqId, timestamp, messageId, clientMsgId } = message;
  return outgoing(
    route.gatewayId,
    { traceId, headers: {}, kafkaHeaders: {} },
    {
      conversationId,
      senderId,
      messageType,
      content,
      seqId,
      timestamp,
      messageId,
      clientMsgId,
      targetConnectionIds: [route.connectionId],
    },
  );
}

/** To the connection that sent a message, in the new-message's place; nothing for one that came over HTTP. */
export function messageStored(message: Message, origin: Origin): Outgoing[] {
  const { conversationId, messageId, seqId, timestamp, clientMsgId } = message;
  return answer("message-stored", conversationId, origin, {
    client_msg_id: clientMsgId,
    message_id: messageId,
    conversation_id: conversationId,
    seq_id: Number(seqId),
    timestamp: Number(timestamp) * 1000,
  });
}

/** To the connection whose message was refused; nothing for one that came over HTTP. */
export function refusal(error: ConnectError, conversationId: string, origin: Origin): Outgoing[] {
  return answer("error", conversationId, origin, {
    code: codeName(error.code),
    reason: reasonOf(error),
    message: error.rawMessage,
    trace_id: origin.traceId,
    details: [],
    client_msg_id: origin.clientMsgId,
  });
}

/** Any other server frame, to all connections of the audience. */
export function frame(
  type: string,
  data: JsonObject,
  conversationId: string,
  audience: readonly Route[],
  trace: Trace,
): Outgoing[] {
  return byGateway(audience).flatMap(([gatewayId, routes]) =>
    targets(routes).map((targetUserIds) => outgoing(gatewayId, trace, { type, data, conversationId, targetUserIds })),
  );
}

/** A control record: the gateway tells of all its connections anew. */
export function assertion(gatewayId: string, trace: Trace): Outgoing {
  return outgoing(gatewayId, trace, { type: "assert" });
}

/** A control record: the gateway closes the session's sockets and takes its tokens no more. */
export function revocation(
  gatewayId: string,
  { sessionId, userId }: { readonly sessionId: string; readonly userId: string },
  nowMs: number,
  trace: Trace,
): Outgoing {
  const timestamp = BigInt(Math.floor(nowMs / 1000));
  return outgoing(gatewayId, trace, { type: "revoke", userId, sid: sessionId, timestamp });
}

function answer(type: string, conversationId: string, origin: Origin, data: JsonObject): Outgoing[] {
  const { gatewayId, connectionId, clientMsgId } = origin;
  if (gatewayId === "" || connectionId === "") {
    return [];
  }
  return [
    outgoing(gatewayId, origin, { type, data, conversationId, clientMsgId, targetConnectionIds: [connectionId] }),
  ];
}

function outgoing(
  gatewayId: string,
  { traceId, headers, kafkaHeaders }: Trace,
  record: Partial<Omit<DownstreamRecord, "$typeName" | "$unknown">>,
): Outgoing {
  return {
    gatewayId,
    record: create(DownstreamRecordSchema, { ...record, traceId, headers }),
    headers: kafkaHeaders,
  };
}

function byGateway(audience: readonly Route[]): [gatewayId: string, routes: Route[]][] {
  const gateways = new Map<string, Route[]>();
  for (const route of audience) {
    const routes = gateways.get(route.gatewayId);
    if (routes === undefined) {
      gateways.set(route.gatewayId, [route]);
    } else {
      routes.push(route);
    }
  }
  return [...gateways];
}

/** Each user once, in lists that a record can take. */
function targets(routes: readonly Route[]): string[][] {
  const userIds = [...new Set(routes.map(({ userId }) => userId))];
  const lists: string[][] = [];
  for (let start = 0; start < userIds.length; start += maxTargets) {
    lists.push(userIds.slice(start, start + maxTargets));
  }
  return lists;
}
