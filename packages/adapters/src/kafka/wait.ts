// Waiting that an AbortSignal ends.
import { setTimeout as sleep } from "node:timers/promises";

/** Resolves after the time, or as soon as the signal aborts. */
export async function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(durationMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Resolves with `work`, or after the time: then the work goes on unheard. */
export async function within(work: Promise<void>, durationMs: number): Promise<void> {
  const done = new AbortController();
  await Promise.race([work.finally(() => done.abort()), pause(durationMs, done.signal)]);
}

/** What `work` settles to; rejects with the signal's reason when that aborts first. The work goes on unheard. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
