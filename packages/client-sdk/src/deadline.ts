// A caller's signal and a time limit as one signal.
import type { CallOptions } from "./call-options.ts";

/** @param defaultMs 0: no limit */
export function deadline({ signal, timeout_ms }: CallOptions, defaultMs: number): AbortSignal {
  const limitMs = timeout_ms ?? defaultMs;
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
