// What this gateway takes, so that it goes on well for those it has (docs/operations.md, "Overload"). Each refusal says when to come again.
import { Code, type ConnectError } from "@connectrpc/connect";
import type { Log } from "../adapters.ts";
import type { Connection } from "../connection.ts";
import { type Counters, count } from "../counters.ts";
import { failure } from "../errors.ts";
import { createLoad } from "./load.ts";
import { createTokenBucket } from "./token-bucket.ts";

export interface Limits {
  /** New sockets a second; twice as many at once. */
  readonly acceptRate: number;
  /** Sockets that are open, authenticated or not. */
  readonly maxConnections: number;
  /** Of them, those that have not said who they are. */
  readonly maxUnauthenticated: number;
  /** Messages of clients a second, half a second's at once; 0: no limit. */
  readonly messagesPerSecond: number;
  /** What may wait for slow readers, of all sockets together: past it the fullest are closed. */
  readonly bufferedBytes: number;
  /** Resident memory past which nothing new is taken; 0: it is not looked at. */
  readonly memoryBytes: number;
}

export const defaultLimits: Limits = {
  acceptRate: 1000,
  maxConnections: 100_000,
  maxUnauthenticated: 2000,
  messagesPerSecond: 0,
  bufferedBytes: 256 * 1024 * 1024,
  memoryBytes: 0,
};

export interface AdmissionOptions {
  readonly limits: Limits;
  readonly memoryBytes: () => number;
  readonly counters: Counters;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Admission {
  /** @throws ConnectError unavailable: one socket more would be too many, now or at all */
  admitSocket(open: number, unauthenticated: number): void;
  /** @throws ConnectError resource_exhausted: one message more is too many for this second */
  admitMessage(): void;
  /** @throws ConnectError unavailable while the process is overloaded */
  admitWork(): void;
  /** Something is short: nothing new is taken. */
  readonly overloaded: boolean;
  /** Past the budget of bytes: the fullest first, until what stays is well below it. */
  overfull(connections: readonly Connection[]): readonly Connection[];
  /** Resolves when records may be taken again: waits while memory is short, and no longer than a few seconds. */
  memoryFreed(): Promise<void> | undefined;
  /** Measures until the signal aborts. */
  start(signal: AbortSignal): void;
}

const maxDelayMs = 500;
/** Who is refused comes again after so long, and up to twice that: not all at the same moment. */
const retryAfterMs = 1000;
/** What stays of the budget when it was overrun. */
const relievedShare = 0.8;
const maxPauseMs = 5000;
const pauseStepMs = 50;

export function createAdmission({ limits, memoryBytes, counters, log, now }: AdmissionOptions): Admission {
  const { acceptRate, maxConnections, maxUnauthenticated, messagesPerSecond, bufferedBytes } = limits;
  const sockets = createTokenBucket(acceptRate, 2 * acceptRate, now);
  const messages =
    messagesPerSecond === 0 ? undefined : createTokenBucket(messagesPerSecond, Math.max(1, messagesPerSecond / 2), now);
  const load = createLoad({ maxDelayMs, maxMemoryBytes: limits.memoryBytes, memoryBytes, log, now });

  const refusal = (code: Code, why: string, reason: string, message: string, waitMs = retryAfterMs): ConnectError => {
    count(counters.refused, why);
    return failure(code, reason, message, { retryAfterMs: Math.ceil(waitMs * (1 + Math.random())) });
  };

  const admitWork = (): void => {
    const { excess } = load;
    if (excess !== undefined) {
      throw refusal(Code.Unavailable, excess, "OVERLOADED", "too busy for more");
    }
  };

  return {
    admitSocket(open, unauthenticated) {
      admitWork();
      if (open >= maxConnections) {
        throw refusal(Code.Unavailable, "connections", "OVERLOADED", "too many sockets are open", 5000);
      }
      if (unauthenticated >= maxUnauthenticated) {
        throw refusal(Code.Unavailable, "unauthenticated", "OVERLOADED", "too many sockets have to authenticate");
      }
      const waitMs = sockets.take();
      if (waitMs > 0) {
        throw refusal(Code.Unavailable, "accept_rate", "RATE_LIMITED", "too many sockets at once", retryAfterMs);
      }
    },
    admitMessage() {
      admitWork();
      const waitMs = messages?.take() ?? 0;
      if (waitMs > 0) {
        const text = "more messages than this gateway takes in a second";
        throw refusal(Code.ResourceExhausted, "messages", "RATE_LIMITED", text, Math.max(waitMs, retryAfterMs));
      }
    },
    admitWork,
    get overloaded() {
      return load.excess !== undefined;
    },
    overfull(connections) {
      let sum = connections.reduce((bytes, connection) => bytes + connection.bufferedBytes, 0);
      if (sum <= bufferedBytes) {
        return [];
      }
      const fullest = connections
        .map((connection) => ({ connection, bytes: connection.bufferedBytes }))
        .sort((one, other) => other.bytes - one.bytes);
      const chosen: Connection[] = [];
      for (const { connection, bytes } of fullest) {
        if (sum <= bufferedBytes * relievedShare) {
          break;
        }
        sum -= bytes;
        chosen.push(connection);
      }
      count(counters.refused, "buffered_bytes", chosen.length);
      return chosen;
    },
    memoryFreed() {
      return load.excess === "memory" ? memoryFreed() : undefined;
    },
    start: load.start,
  };

  async function memoryFreed(): Promise<void> {
    for (let waitedMs = 0; load.excess === "memory" && waitedMs < maxPauseMs; waitedMs += pauseStepMs) {
      await new Promise((resolve) => setTimeout(resolve, pauseStepMs));
    }
  }
}
