// A caller's signal and a time limit as one signal.
import type { CallOptions } from "./call-options.ts";
import { ImError } from "./errors.ts";

/** What timers and the gateway can count: 24 days. */
const longestMs = 2 ** 31 - 1;

/** @throws ImError invalid_argument for what is no time */
export function wholeMs(timeoutMs: number): number {
  if (!(timeoutMs >= 0)) {
    throw new ImError("invalid_argument", "INVALID_TIMEOUT", `timeout_ms: ${timeoutMs} is no time`);
  }
  return Math.min(Math.ceil(timeoutMs), longestMs);
}

/** @param defaultMs 0: no limit. @throws ImError invalid_argument for a timeout_ms that is no time */
export function deadline({ signal, timeout_ms }: CallOptions, defaultMs: number): AbortSignal {
  const limitMs = wholeMs(timeout_ms ?? defaultMs);
  const signals = signal === undefined ? [] : [signal];
  return AbortSignal.any(limitMs === 0 ? signals : [...signals, AbortSignal.timeout(limitMs)]);
}

/** What the promise settles with, or the signal's reason as soon as it aborts. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort);
    if (signal.aborted) {
      abort();
    }
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
