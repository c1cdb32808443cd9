// A rate with a burst: what comes faster has to wait.

export interface TokenBucket {
  /** Takes one. @returns 0, or the milliseconds after which there is one again */
  take(): number;
}

/** @param now monotonic milliseconds */
export function createTokenBucket(perSecond: number, burst: number, now: () => number): TokenBucket {
  let tokens = burst;
  let lastMs = now();
  return {
    take() {
      const nowMs = now();
      tokens = Math.min(burst, tokens + ((nowMs - lastMs) * perSecond) / 1000);
      lastMs = nowMs;
      if (tokens < 1) {
        return Math.ceil(((1 - tokens) * 1000) / perSecond);
      }
      tokens -= 1;
      return 0;
    },
  };
}
