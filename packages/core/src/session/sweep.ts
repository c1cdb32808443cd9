// What time alone does to a connection. One sweep over all of them, no timer each.
import type { Connection } from "../connection.ts";

export interface SweepLimits {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly authTimeoutMs: number;
}

export type SweepVerdict =
  | "nothing"
  /** Silent for `heartbeatIntervalMs`: ask. */
  | "ping"
  /** Silent for `heartbeatTimeoutMs` after being asked. */
  | "heartbeat-lost"
  | "auth-timeout"
  | "token-expired"
  /** The token ends within a minute and the client has not been told. */
  | "expiring";

const expiringMs = 60_000;

export function sweepVerdict(connection: Connection, limits: SweepLimits, nowMs: number): SweepVerdict {
  const { state } = connection;
  if (state.t === "closed") {
    return "nothing";
  }
  if (state.t === "waiting") {
    return nowMs - state.sinceMs >= limits.authTimeoutMs ? "auth-timeout" : "nothing";
  }
  const { expiresAtMs } = state.identity;
  if (nowMs >= expiresAtMs) {
    return "token-expired";
  }
  if (connection.pingedMs > connection.lastInputMs) {
    if (nowMs - connection.pingedMs >= limits.heartbeatTimeoutMs) {
      return "heartbeat-lost";
    }
  } else if (nowMs - connection.lastInputMs >= limits.heartbeatIntervalMs) {
    return "ping";
  }
  return !connection.expiringSent && nowMs >= expiresAtMs - expiringMs ? "expiring" : "nothing";
}

/** Often enough that no limit is overrun by more than a quarter of the shortest, and by a second at most. */
export function sweepIntervalMs(limits: SweepLimits): number {
  const shortest = Math.min(limits.heartbeatIntervalMs, limits.heartbeatTimeoutMs, limits.authTimeoutMs);
  return Math.max(20, Math.min(1000, Math.floor(shortest / 4)));
}
