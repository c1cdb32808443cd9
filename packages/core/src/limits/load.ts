// How loaded this process is: by the delay of its event loop, and by its memory.
import type { Log } from "../adapters.ts";
import { createAlarm } from "./alarm.ts";

export interface LoadOptions {
  /** Delay of the event loop from which on the process is overloaded, when it lasts. */
  readonly maxDelayMs: number;
  /** As `createGateway` takes it. */
  readonly memoryUse: () => number;
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
/** One long turn, or a process that was frozen, is no overload: when it is seen it is over. */
const holdMs = 1000;
/** Of the bounds: below it the process counts as well again, so that it does not flutter. */
const wellShare = { delay: 0.5, memory: 0.95 };

export function createLoad({ maxDelayMs, memoryUse, log, now }: LoadOptions): Load {
  const delay = createAlarm({ raiseAt: maxDelayMs, clearBelow: maxDelayMs * wellShare.delay, holdMs });
  const memory = createAlarm({ raiseAt: 1, clearBelow: wellShare.memory, holdMs });
  let excess: Load["excess"];

  const measure = (delayMs: number, nowMs: number): void => {
    const use = memoryUse();
    delay.sample(delayMs, nowMs);
    memory.sample(use, nowMs);
    const before = excess;
    excess = memory.raised ? "memory" : delay.raised ? "event_loop" : undefined;
    if (excess !== before) {
      const fields = { reason: excess ?? before, delay_ms: Math.round(delayMs), memory_percent: Math.round(use * 100) };
      log("warn", excess === undefined ? "no longer overloaded" : "overloaded: nothing new is taken", fields);
    }
  };

  return {
    get excess() {
      return excess;
    },
    start(signal) {
      let dueMs = now() + intervalMs;
      const timer = setInterval(() => {
        const nowMs = now();
        measure(Math.max(0, nowMs - dueMs), nowMs);
        dueMs = nowMs + intervalMs;
      }, intervalMs);
      signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    },
  };
}
