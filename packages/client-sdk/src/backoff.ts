// When to connect again.

const baseMs = 500;
const capMs = 30_000;

/** The gateway's window, from its goaway. */
export interface ReconnectWindow {
  readonly reconnect_after_ms: number;
  readonly reconnect_within_ms: number;
}

/**
 * Full jitter: anywhere between nothing and the bound, which doubles with each attempt.
 * @param attempt 0 for the first one after a connection was lost
 * @param random from 0 to 1
 * @param window the gateway's own, instead of the jitter
 */
export function reconnectDelayMs(attempt: number, random: number, window?: ReconnectWindow): number {
  if (window !== undefined && window.reconnect_after_ms + window.reconnect_within_ms > 0) {
    return window.reconnect_after_ms + random * window.reconnect_within_ms;
  }
  return random * Math.min(capMs, baseMs * 2 ** attempt);
}
