// A caller's signal and a time limit as one signal.
import type { CallOptions } from "./call-options.ts";

/** @param defaultMs 0: no limit */
export function deadline({ signal, timeout_ms }: CallOptions, defaultMs: number): AbortSignal {
  const limitMs = timeout_ms ?? defaultMs;
  const signals = signal === undefined ? [] : [signal];
  return AbortSignal.any(limitMs === 0 ? signals : [...signals, AbortSignal.timeout(limitMs)]);
}
