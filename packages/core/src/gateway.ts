// The gateway: the one place that calls one stage after another. Both flows read from top to bottom:
//   upstream    receive → sendMessage: to record → producer.send → ack | error → connection
//   downstream  deliver: from record → hub.find → encode once → connection
import { Code, type ConnectError } from "@connectrpc/connect";
import type { ClientFrame, SendMessage } from "@im-gateway/proto";
import type { ConsumerRecord, Registration, Socket, SocketEvents } from "./adapters.ts";
import { createCalls, logFailure } from "./calls.ts";
import { Connection } from "./connection.ts";
import { fromDownstreamRecord } from "./downstream.ts";
import { toConnectError } from "./error-json.ts";
import { CloseCode, failure, reasonOf } from "./errors.ts";
import { decodeClientFrame, encodeServerFrame, errorFrame, type ServerFrameData } from "./frame/codec.ts";
import { frameCall } from "./frame/frame-call.ts";
import { createHttp } from "./http.ts";
import { createHub } from "./hub.ts";
import { createTokenVerifier, type Identity } from "./identity/token.ts";
import { upgradeCredential } from "./identity/upgrade.ts";
import {
  defaultMaxBodyBytes,
  defaultServices,
  defaultTopics,
  defaultWebSocketLimits,
  downstreamRetentionMs,
  type GatewayOptions,
} from "./options.ts";
import { sweepIntervalMs, sweepVerdict } from "./session/sweep.ts";
import { createUserEvents } from "./session/user-events.ts";
import { newTrace, type Trace, traceOf } from "./trace.ts";
import { errorResponse } from "./transcode/transcoder.ts";
import { createTurn } from "./turn.ts";
import { type OutgoingMessage, type Sender, toUpstreamRecord } from "./upstream.ts";

/** The answer to a WebSocket upgrade. */
export type Upgrade =
  | {
      readonly accepted: true;
      /** Absent: the socket has to say who it is by a first `auth` frame. */
      readonly identity: Identity | undefined;
      /** The sub-protocol to answer with. */
      readonly protocol: string | undefined;
    }
  | { readonly accepted: false; readonly response: Response };

export interface Gateway {
  readonly gatewayId: string;
  /** This process's life: another one with the same id has another. */
  readonly instance: string;
  /** REST, `/health` and `/ready`. `rawPath`: path and query as they came, where `request.url` is normalised. */
  fetch(request: Request, env?: { readonly rawPath?: string }): Promise<Response>;
  /** @param request path and query, and the headers, of a WebSocket upgrade */
  upgrade(request: { readonly path: string; readonly headers: Headers }): Promise<Upgrade>;
  /** Takes over a socket whose upgrade was accepted; the caller passes on what happens to it. */
  open(socket: Socket, upgrade: Upgrade & { readonly accepted: true }): SocketEvents;
  /**
   * Claims the gateway's key, then joins Kafka. Resolves when the key is claimed; `unready` tells when records flow.
   * @param address where others reach this gateway's HTTP port
   */
  start(address: { readonly address: string; readonly port: number }, signal: AbortSignal): Promise<void>;
  /** Why it is not ready; empty when it is. */
  unready(): readonly string[];
  /** Leaves: not ready, sockets closed 1012, events published, offsets committed, key deleted. The signal cuts it short. */
  drain(signal: AbortSignal): Promise<void>;
}

type Lifecycle =
  | { readonly t: "idle" }
  | { readonly t: "running"; readonly registration: Registration; readonly consuming: Promise<void> }
  /** Another process holds this gateway's key. */
  | { readonly t: "evicted" }
  | { readonly t: "drained" };

export function createGateway(options: GatewayOptions): Gateway {
  const { gatewayId, version, producer, consumer, registry, transport, log, now = Date.now } = options;
  const topics = { ...defaultTopics, ...options.topics };
  const limits = { ...defaultWebSocketLimits, ...options.websocket };
  const instance = crypto.randomUUID();
  const verifyToken = createTokenVerifier({ ...options.jwt, now });
  const hub = createHub();
  const waiting = new Set<Connection>();
  const stop = new AbortController();
  let lifecycle: Lifecycle = { t: "idle" };
  let consuming = false;
  const epoch = (): number => (lifecycle.t === "running" ? lifecycle.registration.epoch : 0);
  const userEvents = createUserEvents({ producer, topic: topics.userEvents, gatewayId, epoch, log, now });
  const turn = createTurn(options.defer, (connection) => close(connection, CloseCode.SLOW_CONSUMER, "slow consumer"));

  // Upstream: client → Kafka.

  const receive = (connection: Connection, text: string): void => {
    connection.lastInputMs = now();
    const holding = connection.hold(text);
    if (holding !== "not-verifying") {
      if (holding === "full") {
        close(connection, CloseCode.PROTOCOL_ERROR, "too many frames before authentication");
      }
      return;
    }
    const { messageId, frame, error } = decodeClientFrame(text);
    if (frame === undefined) {
      refuseFrame(connection, messageId, error);
    } else if (frame.data.case === "auth") {
      void authenticate(connection, messageId, frame.data.value.token);
    } else if (connection.identity === undefined) {
      const missing = failure(Code.Unauthenticated, "TOKEN_MISSING", "the first frame must be auth");
      answer(connection, errorFrame(missing, newTrace().traceId), messageId);
    } else {
      handle(connection, connection.identity, frame);
    }
  };

  const handle = (connection: Connection, identity: Identity, { messageId, data }: ClientFrame): void => {
    switch (data.case) {
      case "sendMessage":
        void sendMessage(connection, identity, messageId, data.value);
        return;
      case "ping":
        answer(connection, { case: "pong", value: {} }, messageId);
        return;
      case "resume":
        // No history is kept here: the client reads it over REST.
        answer(connection, { case: "resyncRequired", value: { reason: "NO_HISTORY" } }, messageId);
        return;
      case "typing":
        // Lossy by contract, and no back end takes it yet.
        return;
      default:
        void callMethod(connection, identity, messageId, data);
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
    try {
      await publish(message, { userId, deviceId, connectionId: connection.id }, trace);
      const { traceId } = trace;
      answer(connection, { case: "messageAck", value: { clientMsgId, status: "accepted", traceId } }, messageId);
    } catch (thrown) {
      const error = toConnectError(thrown);
      logFailure(log, error, "send-message", trace);
      answer(connection, errorFrame(error, trace.traceId, clientMsgId), messageId);
    }
  };

  const publish = (message: OutgoingMessage, sender: Sender, trace: Trace): Promise<void> => {
    const origin = { gatewayId, gatewayEpoch: epoch(), topic: topics.upstream };
    return producer.send(toUpstreamRecord(message, sender, origin, trace, now()));
  };

  // Downstream: Kafka → clients. Synchronous, so that a slow client never stalls a partition.

  const deliver = (records: readonly ConsumerRecord[]): void => {
    for (const record of records) {
      try {
        const { recipients, encode } = fromDownstreamRecord(record);
        let frame: Uint8Array | undefined;
        for (const connection of hub.find(recipients)) {
          frame ??= encode(now());
          turn.send(connection, frame);
        }
      } catch (thrown) {
        const { topic, partition, offset } = record;
        const error = toConnectError(thrown);
        log("warn", "downstream record skipped", { topic, partition, offset, reason: reasonOf(error), error });
      }
    }
  };

  // Calls: client → im-logic.

  const { transcoder, call } = createCalls({
    services: options.services ?? defaultServices,
    transport,
    verifyToken,
    log,
    publish: async (request, trace) => {
      const { senderId, deviceId, clientMsgId } = request;
      await publish(request, { userId: senderId, deviceId, connectionId: "" }, trace);
      return { clientMsgId, status: "accepted", traceId: trace.traceId };
    },
  });

  const callMethod = async (
    connection: Connection,
    identity: Identity,
    messageId: string,
    data: ClientFrame["data"],
  ): Promise<void> => {
    const trace = newTrace();
    try {
      const { method, request, timeoutMs, toAnswer } = frameCall(data);
      const response = await call(method, request, identity, trace, stop.signal, timeoutMs);
      answer(connection, toAnswer(response), messageId);
    } catch (thrown) {
      const error = toConnectError(thrown);
      logFailure(log, error, data.case ?? "", trace);
      answer(connection, errorFrame(error, trace.traceId), messageId);
    }
  };

  // Connections.

  const answer = (connection: Connection, data: ServerFrameData, messageId = ""): void => {
    turn.send(connection, encodeServerFrame(data, messageId, now()));
  };

  const refuseFrame = (connection: Connection, messageId: string, error: ConnectError): void => {
    if (connection.countBadFrame(now())) {
      close(connection, CloseCode.PROTOCOL_ERROR, "too many bad frames");
    } else {
      answer(connection, errorFrame(error, newTrace().traceId), messageId);
    }
  };

  const authenticate = async (connection: Connection, messageId: string, token: string): Promise<void> => {
    connection.verifying();
    let identity: Identity;
    try {
      identity = withDevice(await verifyToken(token), connection);
    } catch (thrown) {
      const expired = reasonOf(toConnectError(thrown)) === "TOKEN_EXPIRED";
      close(connection, expired ? CloseCode.TOKEN_EXPIRED : CloseCode.TOKEN_INVALID, "token refused");
      return;
    }
    const before = connection.identity;
    if (before !== undefined && (before.userId !== identity.userId || before.deviceId !== identity.deviceId)) {
      close(connection, CloseCode.TOKEN_INVALID, "token of somebody else");
      return;
    }
    const held = connection.authenticated(identity);
    if (before === undefined) {
      opened(connection, identity, messageId);
    } else {
      const { userId, deviceId, expiresAtMs } = identity;
      answer(
        connection,
        { case: "authenticated", value: { userId, deviceId, expiresAt: seconds(expiresAtMs) } },
        messageId,
      );
    }
    for (const text of held) {
      receive(connection, text);
    }
  };

  const opened = (connection: Connection, identity: Identity, messageId: string): void => {
    // It may have gone while its token was verified.
    if (connection.state.t === "closed") {
      return;
    }
    waiting.delete(connection);
    hub.add(connection, identity);
    const { userId, deviceId, expiresAtMs } = identity;
    const value = {
      connectionId: connection.id,
      gatewayId,
      userId,
      deviceId,
      heartbeatIntervalMs: BigInt(limits.heartbeatIntervalMs),
      maxFrameBytes: BigInt(limits.maxFrameBytes),
      expiresAt: seconds(expiresAtMs),
      serverTime: seconds(now()),
    };
    answer(connection, { case: "connected", value }, messageId);
    userEvents.publish({ event: "connected", userId, deviceId, connectionId: connection.id, reason: "" });
  };

  const close = (connection: Connection, code: CloseCode, reason: string): void => {
    if (code === CloseCode.SLOW_CONSUMER || code === CloseCode.HEARTBEAT_LOST) {
      // The peer may never read why.
      const userId = connection.identity?.userId ?? "";
      log("warn", "connection closed", { close_code: code, connection_id: connection.id, user_id: userId });
    }
    departed(connection, connection.close(code, reason), reason);
  };

  const departed = (connection: Connection, identity: Identity | undefined, reason: string): void => {
    waiting.delete(connection);
    if (identity !== undefined) {
      hub.remove(connection, identity);
      const { userId, deviceId } = identity;
      userEvents.publish({ event: "disconnected", userId, deviceId, connectionId: connection.id, reason });
    }
  };

  const sweep = (): void => {
    const nowMs = now();
    for (const connection of [...waiting, ...hub.all()]) {
      switch (sweepVerdict(connection, limits, nowMs)) {
        case "ping":
          connection.ping(nowMs);
          break;
        case "expiring": {
          connection.expiringSent = true;
          const expiresAt = seconds(connection.identity?.expiresAtMs ?? nowMs);
          answer(connection, { case: "expiring", value: { expiresAt } });
          break;
        }
        case "heartbeat-lost":
          close(connection, CloseCode.HEARTBEAT_LOST, "heartbeat lost");
          break;
        case "auth-timeout":
          close(connection, CloseCode.AUTH_TIMEOUT, "no auth frame in time");
          break;
        case "token-expired":
          close(connection, CloseCode.TOKEN_EXPIRED, "token expired");
          break;
        case "nothing":
          break;
      }
    }
  };

  const closeAll = (farewell: ServerFrameData): void => {
    for (const connection of [...waiting, ...hub.all()]) {
      if (connection.identity !== undefined) {
        answer(connection, farewell);
      }
      close(connection, CloseCode.SERVICE_RESTART, "restart");
    }
  };

  // Life.

  const unready = (): readonly string[] => [
    ...(lifecycle.t === "running" ? [] : [lifecycleReasons[lifecycle.t]]),
    ...(lifecycle.t === "running" && !consuming ? ["kafka: the downstream topic is not being consumed"] : []),
    ...(options.unready?.() ?? []),
  ];

  const http = createHttp({
    gatewayId,
    instance,
    version,
    transcoder,
    unready,
    maxBodyBytes: options.maxBodyBytes ?? defaultMaxBodyBytes,
  });

  return {
    gatewayId,
    instance,
    fetch: async (request, env = {}) => http.fetch(request, env),
    unready,

    async upgrade({ path, headers }) {
      try {
        if (lifecycle.t !== "running") {
          throw failure(Code.Unavailable, "NOT_READY", lifecycleReasons[lifecycle.t], { retryAfterMs: 1000 });
        }
        const { token, protocol } = upgradeCredential(path, headers);
        return { accepted: true, protocol, identity: token === undefined ? undefined : await verifyToken(token) };
      } catch (thrown) {
        const { traceId } = traceOf(headers.get("traceparent"));
        return { accepted: false, response: errorResponse(toConnectError(thrown), traceId) };
      }
    },

    open(socket, upgrade) {
      const connection = new Connection(crypto.randomUUID(), socket, limits, now());
      waiting.add(connection);
      if (lifecycle.t !== "running") {
        close(connection, CloseCode.SERVICE_RESTART, "restart");
      } else if (upgrade.identity !== undefined) {
        const identity = withDevice(upgrade.identity, connection);
        connection.authenticated(identity);
        opened(connection, identity, "");
      }
      return {
        text: (data) => receive(connection, data),
        binary: () => close(connection, CloseCode.UNSUPPORTED_DATA, "text frames only"),
        activity: () => {
          connection.lastInputMs = now();
        },
        closed: (code, reason) => departed(connection, connection.closed(), reason || `closed ${code}`),
      };
    },

    async start({ address, port }, signal) {
      const registration = await registry.register(
        { id: gatewayId, name: "im-gateway", address, port, metadata: { instance } },
        signal,
      );
      const topic = `${topics.downstreamPrefix}${gatewayId}`;
      const run = consumer.run({
        topics: [{ name: topic, partitions: 1, retentionMs: downstreamRetentionMs }],
        groupId: topic,
        deliver,
        onReady: (ready) => {
          consuming = ready;
        },
        signal: stop.signal,
      });
      lifecycle = { t: "running", registration, consuming: run };
      const sweeper = setInterval(sweep, sweepIntervalMs(limits));
      stop.signal.addEventListener("abort", () => clearInterval(sweeper), { once: true });
      void registration.lost.then(() => {
        if (lifecycle.t === "running") {
          log("error", "another process holds this gateway's key, leaving", { gateway_id: gatewayId });
          lifecycle = { t: "evicted" };
          closeAll({ case: "resyncRequired", value: { reason: "GATEWAY_REPLACED" } });
          stop.abort();
        }
      });
    },

    async drain(signal) {
      const before = lifecycle;
      lifecycle = { t: "drained" };
      closeAll({ case: "goaway", value: { reason: "restart", reconnectWithinMs: 1000n } });
      await userEvents.settled(signal);
      await producer.close();
      stop.abort();
      if (before.t === "running") {
        await before.consuming;
        await before.registration.release();
      }
    },
  };
}

const lifecycleReasons: Readonly<Record<Exclude<Lifecycle["t"], "running">, string>> = {
  idle: "gateway: not started, its key is not claimed",
  evicted: "gateway: another process holds its key",
  drained: "gateway: draining",
};

/** Without `did` a connection is its own device. */
function withDevice(identity: Identity, connection: Connection): Identity {
  return identity.deviceId === "" ? { ...identity, deviceId: connection.id } : identity;
}

function seconds(ms: number): bigint {
  return BigInt(Math.floor(ms / 1000));
}
