// How loaded this process is: by the delay of its event loop, and by its memory.
import type { Log } from "../adapters.ts";

export interface LoadOptions {
  /** Delay of the event loop, smoothed, past which the process is overloaded. */
  readonly maxDelayMs: number;
  /** Memory past which it is; 0: it is not looked at. */
  readonly maxMemoryBytes: number;
  /** What the process has resident. */
  readonly memoryBytes: () => number;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Load {
  /** What there is too much of; undefined while all is well. */
  readonly excess: "event_loop" | "memory" | undefined;
  /** Measures until the signal aborts. */
  start(signal: AbortSignal): void;
}

const intervalMs = 100;
/** Of each measurement in the smoothed delay: some in a row must be bad, and one good one does not make up for them. */
const weight = 0.3;
/** Memory has to fall so far below its bound before the process counts as well again, so that it does not flutter. */
const wellShare = 0.95;

export function createLoad({ maxDelayMs, maxMemoryBytes, memoryBytes, log, now }: LoadOptions): Load {
  let delayMs = 0;
  let full = false;
  let excess: Load["excess"];
  return {
    get excess() {
      return excess;
    },
    start(signal) {
      let dueMs = now() + intervalMs;
      const timer = setInterval(() => {
        const nowMs = now();
        delayMs += weight * (Math.max(0, nowMs - dueMs) - delayMs);
        dueMs = nowMs + intervalMs;
        if (maxMemoryBytes > 0) {
          full = memoryBytes() > maxMemoryBytes * (full ? wellShare : 1);
        }
        const before = excess;
        excess = full ? "memory" : delayMs > maxDelayMs ? "event_loop" : undefined;
        if (excess !== before) {
          const message = excess === undefined ? "no longer overloaded" : "overloaded: nothing new is taken";
          log("warn", message, { reason: excess ?? before, delay_ms: Math.round(delayMs) });
        }
      }, intervalMs);
      signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    },
  };
}
