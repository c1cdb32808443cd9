// The gateway: the one place that calls one stage after another. Both flows read from top to bottom:
//   upstream    receive → sendMessage: to record → producer.send → ack | error → connection
//   downstream  deliver: from record → hub.find → encode once → connection
import { Code } from "@connectrpc/connect";
import type { ClientFrame, SendMessage } from "@im-gateway/proto";
import type { ConsumerRecord, EncodedFrame } from "./adapters.ts";
import { createCalls, logFailure, observed } from "./calls.ts";
import type { Connection } from "./connection.ts";
import { createConsumption } from "./consumption.ts";
import { createControl } from "./control.ts";
import { type Counters, count, countDelivery, countedSend, countFailure, createCounters } from "./counters.ts";
import { createDeduplication } from "./deduplication.ts";
import { contractDocuments } from "./documents.ts";
import { fromDownstreamRecord } from "./downstream.ts";
import { toConnectError } from "./error-json.ts";
import { CloseCode, failure, reasonOf } from "./errors.ts";
import { clientFrameType, decodeClientFrame, errorFrame } from "./frame/codec.ts";
import { createHttp } from "./http.ts";
import { createHub } from "./hub.ts";
import { createRevocations } from "./identity/revocations.ts";
import { createTokenVerifier, type Identity } from "./identity/token.ts";
import { createInternal } from "./internal.ts";
import { createLifecycle, type GatewayEndpoint } from "./lifecycle.ts";
import { createAdmission, defaultLimits } from "./limits/admission.ts";
import { createBufferBudget } from "./limits/buffer-budget.ts";
import {
  defaultDrainMs,
  defaultDrainWindowMs,
  defaultMaxBodyBytes,
  defaultRevocationHoldMs,
  defaultServices,
  defaultTopics,
  defaultWebSocketLimits,
  downstreamRetentionMs,
  type GatewayOptions,
} from "./options.ts";
import { createPush } from "./push.ts";
import { createDeadLetters } from "./record/dead-letter.ts";
import { createConnections } from "./session/connections.ts";
import { createFarewell } from "./session/farewell.ts";
import { createResume } from "./session/resume.ts";
import { createUserEvents } from "./session/user-events.ts";
import { createSocketCalls } from "./socket-calls.ts";
import { createSocketDoor, type SocketDoor } from "./socket-door.ts";
import { newTrace, type Trace, traceIdOf } from "./trace.ts";
import { type Unreadable, unreadableResponse } from "./unreadable.ts";
import { checkOutgoing, checkSize, type OutgoingMessage, type Sender, toUpstreamRecord } from "./upstream.ts";

export interface Gateway extends SocketDoor {
  readonly gatewayId: string;
  /** This process's life: another one with the same id has another. */
  readonly instance: string;
  /** Read when metrics are scraped. */
  readonly counters: Readonly<Counters>;
  /** Sockets that are open, authenticated or not. */
  readonly connections: number;
  /** What waits for slow readers. */
  readonly bufferedBytes: number;
  /** REST, `/health` and `/ready`. `rawPath`: path and query as they came, where `request.url` is normalised. */
  fetch(request: Request, env?: { readonly rawPath?: string }): Promise<Response>;
  /** PushService for back ends, on a port that clients can not reach: by Connect, and as REST under /internal/v1. */
  internal(request: Request, env?: { readonly rawPath?: string }): Promise<Response>;
  /** The answer to a request that can not be given to `fetch`. */
  refuse(why: Unreadable): Response;
  /** Claims the gateway's key, then joins Kafka. Resolves when the key is claimed; `unready` tells when records flow. */
  start(endpoint: GatewayEndpoint, signal: AbortSignal): Promise<void>;
  /** Why it is not ready; empty when it is. */
  unready(): readonly string[];
  /** Aborts when the gateway is evicted, since another process has its key, and at the end of a drain: what is left to do then is `drain`. */
  readonly stopped: AbortSignal;
  /**
   * Leaves: not ready, no new sockets, those that are here closed 1012 in waves, events published, offsets committed, key deleted. The signal cuts
   * it short.
   * @param stopListening called when no socket is left: closes the port and resolves when the last HTTP request is answered
   */
  drain(signal: AbortSignal, stopListening?: () => Promise<void>): Promise<void>;
}

/** Dead letters that are on their way at a time: they share the producer with what clients send. */
const maxBurying = 100;

export function createGateway(options: GatewayOptions): Gateway {
  const { gatewayId, version, producer, consumer, registry, transport, log, now = Date.now } = options;
  const topics = { ...defaultTopics, ...options.topics };
  const limits = { ...defaultWebSocketLimits, ...options.websocket };
  const instance = crypto.randomUUID();
  const { revocationHoldMs: holdMs = defaultRevocationHoldMs, drainWindowMs: windowMs = defaultDrainWindowMs } =
    options;
  const revocations = createRevocations({ holdMs, log, now });
  const verifyToken = createTokenVerifier({ ...options.jwt, isRevoked: revocations.has, now });
  const hub = createHub();
  const counters = createCounters();
  const sendUpstream = countedSend(producer, "upstream", counters, options.observer?.published);
  const deduplication = createDeduplication({ counters, now });
  const deadLetters = createDeadLetters({
    send: countedSend(producer, "dead_letter", counters),
    topic: topics.deadLetter.name,
    stopped: () => life.stopped,
    log,
  });
  const sendUserEvent = countedSend(producer, "user_events", counters);
  const userEvents = createUserEvents({
    send: sendUserEvent,
    topic: topics.userEvents.name,
    gatewayId,
    epoch: () => life.epoch,
    counters,
    log,
    now,
  });
  const { defer, maxBodyBytes = defaultMaxBodyBytes, removeTopic } = options;
  const taken = { ...defaultLimits, ...options.limits };
  const { memoryUse = () => 0 } = options;
  const admission = createAdmission({ limits: taken, memoryUse, counters, log, now: () => performance.now() });
  const connections = createConnections({
    gatewayId,
    hub,
    userEvents,
    verifyToken,
    limits,
    counters,
    defer,
    log,
    now,
  });
  const budget = createBufferBudget({ maxBytes: taken.bufferedBytes, sockets: connections, counters, log });
  const control = createControl({ hub, connections, revocations, log, now });

  const resume = createResume({
    gatewayId,
    epoch: () => life.epoch,
    connections,
    transport: observed(transport, options.observer),
    limits,
    counters,
    stopped: () => life.stopped,
    log,
    now,
  });

  // Upstream: client → Kafka.

  const receive = (connection: Connection, text: string): void => {
    connection.lastInputMs = now();
    const holding = connection.hold(text);
    if (holding !== "not-verifying") {
      if (holding === "full") {
        connections.close(connection, CloseCode.PROTOCOL_ERROR, "too many frames while a token is verified");
      }
      return;
    }
    const { messageId, frame, error } = decodeClientFrame(text);
    count(counters.framesIn, frame === undefined ? "invalid" : clientFrameType(frame));
    if (frame === undefined) {
      connections.refuse(connection, messageId, error);
    } else if (frame.data.case === "auth") {
      void authenticate(connection, messageId, frame.data.value.token);
    } else if (connection.identity === undefined) {
      const missing = failure(Code.Unauthenticated, "TOKEN_MISSING", "the first frame must be auth");
      connections.refuse(connection, messageId, missing);
    } else {
      handle(connection, connection.identity, frame, text.length);
    }
  };

  const handle = (
    connection: Connection,
    identity: Identity,
    { messageId, data }: ClientFrame,
    length: number,
  ): void => {
    if (data.case !== "resume") {
      connections.held.heard(connection);
    }
    switch (data.case) {
      case "sendMessage":
        void sendMessage(connection, identity, messageId, data.value);
        return;
      case "ping":
        connections.answer(connection, { case: "pong", value: {} }, messageId);
        return;
      case "resume":
        resume.begin(connection, identity, messageId, data.value.cursors);
        return;
      case "typing":
        // Lossy by contract, and no back end takes it yet.
        return;
      default:
        void callOverSocket(connection, identity, messageId, data, length);
    }
  };

  const sendMessage = async (
    connection: Connection,
    { userId, deviceId }: Identity,
    messageId: string,
    message: SendMessage,
  ): Promise<void> => {
    const { clientMsgId } = message;
    const trace = newTrace();
    connection.unanswered += 1;
    try {
      const status = await publish(message, { userId, deviceId, connectionId: connection.id }, trace);
      const value = { clientMsgId, status, traceId: trace.traceId };
      connections.answer(connection, { case: "messageAck", value }, messageId);
    } catch (thrown) {
      const error = toConnectError(thrown);
      logFailure(log, error, "send-message", trace, userId);
      connections.answer(connection, errorFrame(error, trace.traceId, clientMsgId), messageId);
    } finally {
      connection.unanswered -= 1;
    }
  };

  /** Throws, or rejects, with what is wrong with the message or its way. */
  const publish = (message: OutgoingMessage, sender: Sender, trace: Trace): Promise<string> => {
    admission.admitMessage();
    checkOutgoing(message);
    const origin = { gatewayId, gatewayEpoch: life.epoch, topic: topics.upstream.name };
    const send = () => sendUpstream(toUpstreamRecord(message, sender, origin, trace, now()));
    return deduplication.once(sender.userId, message, send);
  };

  // Downstream: Kafka → clients. No client is waited for, so that a slow one never stalls the partition; the end of a turn is, and poison.

  const deliver = async (records: readonly ConsumerRecord[]): Promise<void> => {
    const buried: Promise<void>[] = [];
    counters.recordsConsumed += records.length;
    for (const record of records) {
      if (budget.room !== undefined) {
        await budget.room;
      }
      try {
        const { recipients, type, control: order, place, encode } = fromDownstreamRecord(record);
        if (order !== undefined) {
          control.obey(order);
          continue;
        }
        if (recipients.broadcast && type === "resync-required") {
          connections.held.ring.lost();
        }
        let frame: EncodedFrame | undefined;
        let receivers = 0;
        const droppedBefore = counters.deliveriesDropped;
        const absent: string[] = [];
        for (const connection of hub.find(recipients, absent)) {
          frame ??= encode(now());
          receivers += connections.send(connection, frame, place) ? 1 : 0;
        }
        const kept = connections.held.keep(absent, type, place, () => frame ?? encode(now()));
        countDelivery(counters, type, receivers, counters.deliveriesDropped - droppedBefore, kept);
        if (connections.turn.full) {
          await connections.turn.ended();
        }
      } catch (thrown) {
        const { topic, partition, offset } = record;
        const error = toConnectError(thrown);
        countFailure(counters, "downstream", reasonOf(error));
        const trace_id = traceIdOf(record.headers.traceparent);
        log("warn", "downstream record skipped", { topic, partition, offset, trace_id, error });
        buried.push(deadLetters.bury(record, `${reasonOf(error)}: ${error.rawMessage}`));
        if (buried.length >= maxBurying) {
          await Promise.all(buried.splice(0));
        }
      }
    }
    await Promise.all(buried);
  };

  // Calls: client → im-logic, over REST and over the socket.

  const { transcoder, call } = createCalls({
    services: options.services ?? defaultServices,
    transport,
    verifyToken,
    allowedQueryKeys: options.allowedQueryKeys,
    observer: options.observer,
    log,
    publish: async (request, trace) => {
      const { senderId, deviceId, clientMsgId, content } = request;
      // What comes as a frame is within the limit already.
      checkSize(content, limits.maxFrameBytes);
      const status = await publish(request, { userId: senderId, deviceId, connectionId: "" }, trace);
      return { clientMsgId, status, traceId: trace.traceId };
    },
  });

  const callOverSocket = createSocketCalls({
    call,
    connections,
    admission,
    counters,
    stopped: () => life.stopped,
    log,
  });

  const authenticate = async (connection: Connection, messageId: string, token: string): Promise<void> => {
    for (const text of await connections.authenticate(connection, messageId, token)) {
      receive(connection, text);
    }
  };

  // Life.

  /** Those who are here are told now, those who are away when they come back. */
  const recordsLost = (reason: string): void => {
    connections.tellAll({ case: "resyncRequired", value: { reason } });
    connections.held.ring.lost();
  };

  const consumption = createConsumption({
    consumer,
    topic: { name: `${topics.downstreamPrefix}${gatewayId}`, partitions: 1, retentionMs: downstreamRetentionMs },
    alsoCreate: [topics.upstream, topics.userEvents, topics.deadLetter],
    epoch: () => life.epoch,
    deliver,
    onFlow: connections.held.ring.started,
    onGap: () => recordsLost("RECORDS_LOST"),
    onTaken: () => life.evict(),
    counters,
    log,
  });

  const life = createLifecycle({
    gatewayId,
    instance,
    registry,
    consume: consumption.run,
    assert() {
      connections.assert();
      // im-logic may have taken them for gone meanwhile, and routed nothing to them.
      recordsLost("REGISTRATION_LOST");
    },
    farewell: createFarewell({ connections, windowMs }),
    settle: userEvents.settled,
    close: producer.close,
    recordsTaken: () => counters.recordsConsumed,
    removeOwnTopic: removeTopic && ((signal) => removeTopic(`${topics.downstreamPrefix}${gatewayId}`, signal)),
    log,
  });

  const unready = (): readonly string[] => {
    const own =
      life.notRunning ?? (consumption.active ? undefined : "kafka: the downstream topic is not being consumed");
    return [...(own === undefined ? [] : [own]), ...(options.unready?.() ?? [])];
  };

  const http = createHttp({
    gatewayId,
    instance,
    version,
    transcoder,
    unready,
    maxBodyBytes,
    counters,
    admit: admission.admitWork,
    pages: options.pages,
    documents: options.documents ?? (options.services === undefined ? contractDocuments : undefined),
    observer: options.observer,
  });

  const requestDrain =
    options.requestDrain ??
    ((): void => {
      life
        .drain(AbortSignal.timeout(defaultDrainMs))
        .catch((error: unknown) => log("error", "the drain failed", { error }));
    });
  const internal = createInternal({
    service: createPush({ hub, connections, control, counters, drain: requestDrain, now }),
    token: options.internalToken,
    maxBodyBytes,
    counters,
    observer: options.observer,
    log,
  });

  const door = createSocketDoor({
    notRunning: () => life.notRunning,
    verifyToken,
    revocations,
    admission,
    connections,
    receive,
    counters,
    observer: options.observer,
    log,
    now,
  });

  return {
    gatewayId,
    instance,
    counters,
    get connections() {
      return connections.size;
    },
    get bufferedBytes() {
      return connections.bufferedBytes;
    },
    fetch: async (request, env = {}) => http.fetch(request, env),
    internal: (request, { rawPath } = {}) => internal(request, rawPath),
    refuse: (why) => unreadableResponse(why, options.observer),
    unready,

    ...door,

    async start(endpoint, signal) {
      await life.start(endpoint, signal);
      connections.startSweep(life.stopped);
      admission.start(life.stopped);
      budget.start(life.stopped);
    },

    stopped: life.stopped,
    drain: life.drain,
  };
}
