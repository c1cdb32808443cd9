// Waiting that an AbortSignal ends. It resolves then: whoever waited looks for itself what came of it.

/** Resolves after `ms`, or when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
    if (signal.aborted) {
      end();
    }
  });
}

/** Settles as `work` does, or resolves when the signal aborts; then the work goes on unheard. */
export function within(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => resolve();
    signal.addEventListener("abort", end);
    if (signal.aborted) {
      end();
    }
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
  });
}
