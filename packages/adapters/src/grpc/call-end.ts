// What ends a call from the caller's side: its deadline or its signal.
import { canceled, deadlineExceeded } from "./status.ts";

export interface CallEnd {
  /** Epoch milliseconds. */
  readonly deadlineMs: number;
  /** Aborts when the call has to end, with the ConnectError that it ends with as reason. */
  readonly signal: AbortSignal;
  /** Settles as `work` does, or rejects as soon as the call has to end. */
  race<T>(work: Promise<T>): Promise<T>;
  /** Lets go of the timer and of the caller's signal. */
  dispose(): void;
}

/** @param timeoutMs may be fractional; 0 and less have passed already */
export function createCallEnd(timeoutMs: number, caller: AbortSignal | undefined): CallEnd {
  const controller = new AbortController();
  const { signal } = controller;
  const wholeMs = Math.ceil(timeoutMs);
  const onCallerAbort = (): void => controller.abort(canceled(caller?.reason));
  const onDeadline = (): void => controller.abort(deadlineExceeded());
  const timer = wholeMs > 0 ? setTimeout(onDeadline, wholeMs) : undefined;
  if (caller?.aborted) onCallerAbort();
  else if (timer === undefined) onDeadline();
  else caller?.addEventListener("abort", onCallerAbort, { once: true });

  return {
    deadlineMs: Date.now() + wholeMs,
    signal,
    race(work) {
      return new Promise((resolve, reject) => {
        const onEnd = (): void => reject(signal.reason);
        if (signal.aborted) onEnd();
        else signal.addEventListener("abort", onEnd, { once: true });
        work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onEnd));
      });
    },
    dispose() {
      clearTimeout(timer);
      caller?.removeEventListener("abort", onCallerAbort);
    },
  };
}
