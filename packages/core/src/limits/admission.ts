// What this gateway takes, so that it goes on well for those it has (docs/operations.md, "Overload"). Each refusal says when to come again.
import { Code } from "@connectrpc/connect";
import type { Log } from "../adapters.ts";
import { type Counters, count } from "../counters.ts";
import { createLoad } from "./load.ts";
import { createRefuse } from "./refusal.ts";
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
}

export const defaultLimits: Limits = {
  acceptRate: 1000,
  maxConnections: 100_000,
  maxUnauthenticated: 2000,
  messagesPerSecond: 0,
  bufferedBytes: 256 * 1024 * 1024,
};

export interface AdmissionOptions {
  readonly limits: Limits;
  /** As `createGateway` takes it. */
  readonly memoryUse: () => number;
  readonly counters: Counters;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Sockets that are open now. */
export interface OpenSockets {
  readonly size: number;
  readonly unauthenticated: number;
}

export interface Admission {
  /**
   * @param open how many there are
   * @param hasToken who sends none yet is one of those who may be only so many
   * @throws ConnectError unavailable: one socket more would be too many, now or at all
   */
  admitSocket(open: OpenSockets, hasToken: boolean): void;
  /** Whether an upgrade that was admitted has to go all the same: others were faster, or the process is overloaded by now. */
  refusesOpened(open: OpenSockets, authenticated: boolean): boolean;
  /** @throws ConnectError resource_exhausted: one message more is too many for this second */
  admitMessage(): void;
  /** @throws ConnectError unavailable while the process is overloaded */
  admitWork(): void;
  /** Measures until the signal aborts. */
  start(signal: AbortSignal): void;
}

const maxDelayMs = 500;
/** Their hint has whole seconds only. */
const socketSpread = 4;

/** What there is too much of for one socket more. */
type Excess = "event_loop" | "memory" | "connections" | "unauthenticated" | "accept_rate";

const socketMessages: Readonly<Record<Excess, string>> = {
  event_loop: "too busy for more",
  memory: "too busy for more",
  connections: "too many sockets are open",
  unauthenticated: "too many sockets have to authenticate",
  accept_rate: "too many sockets at once",
};

export function createAdmission({ limits, memoryUse, counters, log, now }: AdmissionOptions): Admission {
  const { acceptRate, maxConnections, maxUnauthenticated, messagesPerSecond } = limits;
  const sockets = createTokenBucket(acceptRate, 2 * acceptRate, now);
  const messages =
    messagesPerSecond === 0 ? undefined : createTokenBucket(messagesPerSecond, Math.max(1, messagesPerSecond / 2), now);
  const load = createLoad({ maxDelayMs, memoryUse, log, now });

  const refuse = createRefuse(counters);

  const excessOf = ({ size, unauthenticated }: OpenSockets, hasToken: boolean): Excess | undefined =>
    load.excess ??
    (size >= maxConnections
      ? "connections"
      : !hasToken && unauthenticated >= maxUnauthenticated
        ? "unauthenticated"
        : undefined);

  const admitWork = (): void => {
    const { excess } = load;
    if (excess !== undefined) {
      throw refuse({ of: excess, reason: "OVERLOADED", message: "too busy for more" });
    }
  };

  return {
    admitSocket(open, hasToken) {
      const excess = excessOf(open, hasToken) ?? (sockets.take() > 0 ? "accept_rate" : undefined);
      if (excess !== undefined) {
        throw refuse({ of: excess, reason: "OVERLOADED", message: socketMessages[excess], spread: socketSpread });
      }
    },
    refusesOpened(open, authenticated) {
      const excess = excessOf(open, authenticated);
      if (excess !== undefined) {
        count(counters.refused, excess);
      }
      return excess !== undefined;
    },
    admitMessage() {
      admitWork();
      if (messages !== undefined && messages.take() > 0) {
        const message = "more messages than this gateway takes in a second";
        throw refuse({ of: "messages", code: Code.ResourceExhausted, reason: "RATE_LIMITED", message });
      }
    },
    admitWork,
    start: load.start,
  };
}
