// The connections' lives: opened, authenticated, answered, swept, closed. What clients send and receive is gateway.ts's.

import type { ConnectError } from "@connectrpc/connect";
import type { EncodedFrame, Log, Socket } from "../adapters.ts";
import { Connection } from "../connection.ts";
import { type Counters, count } from "../counters.ts";
import { toConnectError } from "../error-json.ts";
import { CloseCode, reasonOf } from "../errors.ts";
import { encodeServerFrame, errorFrame, type ServerFrameData, serverFrameType } from "../frame/codec.ts";
import type { Place } from "../frame/place.ts";
import type { Hub } from "../hub.ts";
import type { Identity, VerifyToken } from "../identity/token.ts";
import type { WebSocketLimits } from "../options.ts";
import { newTrace } from "../trace.ts";
import { createTurn, type Turn } from "../turn.ts";
import { createHeld, type Held } from "./held.ts";
import { sweepIntervalMs, sweepVerdict } from "./sweep.ts";
import type { UserEvents } from "./user-events.ts";

export interface ConnectionsOptions {
  readonly gatewayId: string;
  readonly hub: Hub;
  readonly userEvents: UserEvents;
  readonly verifyToken: VerifyToken;
  readonly limits: WebSocketLimits;
  readonly counters: Counters;
  readonly defer: ((run: () => void) => void) | undefined;
  readonly log: Log;
  readonly now: () => number;
}

export interface Connections {
  /** Authenticated or not. */
  readonly size: number;
  /** Of them, those that have not said who they are. */
  readonly unauthenticated: number;
  /** What waits for slow readers. */
  readonly bufferedBytes: number;
  /** What sockets hold that were closed and are not gone yet. */
  readonly leavingBytes: number;
  /** @param identity absent: a first `auth` frame has to come in time */
  open(socket: Socket, identity: Identity | undefined): Connection;
  /** The peer has closed the socket: it is nobody's any more, and not gone yet. Does nothing on one that is closed. */
  departing(connection: Connection, reason: string): void;
  /** The socket is gone. */
  departed(connection: Connection, reason: string): void;
  /**
   * Verifies the token of an `auth` frame and answers it; a token that is bad, or somebody else's, closes the socket.
   * @returns the texts that came meanwhile, to be handled now
   */
  authenticate(connection: Connection, messageId: string, token: string): Promise<readonly string[]>;
  /**
   * Queues a pushed frame; it leaves with all else that this turn of the event loop has for the connection, or waits while that resumes.
   * @param place of a new-message
   * @returns false when the connection is closed
   */
  send(connection: Connection, frame: EncodedFrame, place?: Place): boolean;
  /** Queues a frame past what waits. @returns false when the connection is closed */
  sendNow(connection: Connection, frame: EncodedFrame): boolean;
  /** Frames that wait: for users who are not here, and for connections that resume. */
  readonly held: Held;
  /** What this turn has gathered. */
  readonly turn: Pick<Turn, "full" | "ended">;
  /** @param messageId of the frame that is answered; "" on a push */
  answer(connection: Connection, data: ServerFrameData, messageId: string): void;
  /** Answers a bad frame; too many of them close the socket. */
  refuse(connection: Connection, messageId: string, error: ConnectError): void;
  close(connection: Connection, code: CloseCode, reason: string): void;
  /** A frame for everybody who is authenticated. */
  tellAll(data: ServerFrameData): void;
  /** Everybody who is here now, authenticated or not. */
  all(): readonly Connection[];
  /** Tells im-logic of every connection that is here, each with a new `seq`, a slice of them at a time. Returns at once. */
  assert(): void;
  /** Looks at all connections now and then, until the signal aborts. */
  startSweep(signal: AbortSignal): void;
}

/** Of these the peer may never learn by itself. */
const mayNeverBeRead: ReadonlySet<CloseCode> = new Set([CloseCode.SLOW_CONSUMER, CloseCode.HEARTBEAT_LOST]);

/** So many events are made in about a millisecond. */
const assertSlice = 1000;

export function createConnections(options: ConnectionsOptions): Connections {
  const { gatewayId, hub, userEvents, verifyToken, limits, counters, log, now } = options;
  /** Upgraded, not authenticated yet. */
  const waiting = new Set<Connection>();
  /** Closed, and the socket is not gone yet. */
  const leaving = new Set<Connection>();
  const turn = createTurn(options.defer, (connection) => close(connection, CloseCode.SLOW_CONSUMER, "slow consumer"));

  const held = createHeld({ turn, counters, limits, now });

  const answer = (connection: Connection, data: ServerFrameData, messageId: string): void => {
    if (turn.send(connection, encodeServerFrame(data, messageId, now()))) {
      count(counters.framesOut, serverFrameType(data));
    }
  };

  /** Opened for good, now that it is known whose it is. */
  const welcome = (connection: Connection, identity: Identity, messageId: string): void => {
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
    tellConnected(connection, identity);
    held.arrived(connection, userId);
  };

  const tellConnected = (connection: Connection, { userId, deviceId }: Identity): void => {
    const told = connection.eventSeq > 0;
    const event = { event: "connected", userId, deviceId, connectionId: connection.id, reason: "", told } as const;
    connection.eventSeq = userEvents.publish(event);
  };

  const leave = (connection: Connection, identity: Identity | undefined, reason: string): void => {
    waiting.delete(connection);
    if (identity !== undefined) {
      const { userId, deviceId } = identity;
      held.left(connection, userId, hub.remove(connection, identity));
      userEvents.publish({ event: "disconnected", userId, deviceId, connectionId: connection.id, reason, told: true });
    }
  };

  /** How many rounds are still to do, the one that runs included. */
  let assertRounds = 0;
  const assertAll = async (): Promise<void> => {
    for (const [index, connection] of [...hub.all()].entries()) {
      const { identity } = connection;
      // Undefined: it has ended meanwhile, and that was told.
      if (identity !== undefined) {
        tellConnected(connection, identity);
      }
      if ((index + 1) % assertSlice === 0) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
  };
  const assertUntilDone = async (): Promise<void> => {
    for (; assertRounds > 0; assertRounds -= 1) {
      await assertAll();
    }
  };

  const close = (connection: Connection, code: CloseCode, reason: string): void => {
    if (connection.state.t === "closed") {
      return;
    }
    const identity = connection.close(code, reason);
    leaving.add(connection);
    // By reason, so that where one repeats the other is still written.
    log(mayNeverBeRead.has(code) ? "warn" : "debug", `connection closed: ${reason}`, {
      close_code: code,
      connection_id: connection.id,
      user_id: identity?.userId,
      device_id: identity?.deviceId,
    });
    leave(connection, identity, reason);
  };

  const sweep = (): void => {
    held.sweep();
    const nowMs = now();
    for (const connection of everybody()) {
      switch (sweepVerdict(connection, limits, nowMs)) {
        case "ping":
          connection.ping(nowMs);
          break;
        case "expiring": {
          connection.expiringSent = true;
          const expiresAt = seconds(connection.identity?.expiresAtMs ?? nowMs);
          answer(connection, { case: "expiring", value: { expiresAt } }, "");
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

  const everybody = (): readonly Connection[] => [...waiting, ...hub.all()];

  return {
    get size() {
      return waiting.size + hub.size;
    },
    get unauthenticated() {
      return waiting.size;
    },
    get bufferedBytes() {
      return bytesOf(everybody());
    },
    get leavingBytes() {
      return bytesOf([...leaving]);
    },
    turn,
    send: held.send,
    sendNow: turn.send,
    held,
    answer,
    close,

    open(socket, identity) {
      counters.connectionsOpened += 1;
      const connection = new Connection(crypto.randomUUID(), socket, limits, counters, now());
      if (identity === undefined) {
        waiting.add(connection);
      } else {
        const own = withDevice(identity, connection);
        connection.authenticated(own);
        welcome(connection, own, "");
      }
      return connection;
    },

    departing(connection, reason) {
      if (connection.state.t !== "closed") {
        leaving.add(connection);
        leave(connection, connection.closed(), reason);
      }
    },

    departed(connection, reason) {
      leaving.delete(connection);
      leave(connection, connection.closed(), reason);
    },

    async authenticate(connection, messageId, token) {
      connection.verifying();
      const before = connection.identity;
      try {
        const identity = withDevice(await verifyToken(token), connection);
        if (connection.state.t === "closed") {
          return [];
        }
        if (before !== undefined && (before.userId !== identity.userId || before.deviceId !== identity.deviceId)) {
          close(connection, CloseCode.TOKEN_INVALID, "token of another user or device");
          return [];
        }
        const held = connection.authenticated(identity);
        if (before === undefined) {
          welcome(connection, identity, messageId);
        } else {
          const { userId, deviceId } = identity;
          const expiresAt = seconds(identity.expiresAtMs);
          answer(connection, { case: "authenticated", value: { userId, deviceId, expiresAt } }, messageId);
        }
        return held;
      } catch (thrown) {
        const expired = reasonOf(toConnectError(thrown)) === "TOKEN_EXPIRED";
        close(connection, expired ? CloseCode.TOKEN_EXPIRED : CloseCode.TOKEN_INVALID, "token refused");
        return [];
      }
    },

    refuse(connection, messageId, error) {
      if (connection.countBadFrame(now())) {
        close(connection, CloseCode.PROTOCOL_ERROR, "too many bad frames");
      } else {
        const { traceId } = newTrace();
        const fields = { connection_id: connection.id, user_id: connection.identity?.userId, trace_id: traceId, error };
        log("debug", "frame refused", fields);
        answer(connection, errorFrame(error, traceId), messageId);
      }
    },

    tellAll(data) {
      for (const connection of everybody()) {
        if (connection.identity !== undefined) {
          answer(connection, data, "");
        }
      }
    },

    all: everybody,

    assert() {
      if (assertRounds === 0) {
        assertRounds = 1;
        void assertUntilDone();
      } else {
        // Some were told before this was asked for: everybody once more.
        assertRounds = 2;
      }
    },

    startSweep(signal) {
      const sweeper = setInterval(sweep, sweepIntervalMs(limits));
      const stop = (): void => {
        clearInterval(sweeper);
        held.stop();
      };
      signal.addEventListener("abort", stop, { once: true });
    },
  };
}

function bytesOf(connections: readonly Connection[]): number {
  return connections.reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0);
}

/** Without `did` a connection is its own device. */
function withDevice(identity: Identity, connection: Connection): Identity {
  return identity.deviceId === "" ? { ...identity, deviceId: connection.id } : identity;
}

function seconds(ms: number): bigint {
  return BigInt(Math.floor(ms / 1000));
}
