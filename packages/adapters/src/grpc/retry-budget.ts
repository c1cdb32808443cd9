// How many calls may be made a second time: a share of all calls, so that an outage is not answered by twice the load.

export interface RetryBudget {
  /** A call begins. */
  earn(): void;
  /** @returns false when there is nothing left: the call has to fail */
  spend(): boolean;
}

/** A fifth of the calls … */
const perCall = 0.2;
/** … and one a second, where calls are few. */
const perSecond = 1;
const most = 20;

/** @param now monotonic milliseconds */
export function createRetryBudget(now: () => number): RetryBudget {
  let tokens = most / 2;
  let lastMs = now();
  return {
    earn() {
      tokens = Math.min(most, tokens + perCall);
    },
    spend() {
      const nowMs = now();
      tokens = Math.min(most, tokens + ((nowMs - lastMs) / 1000) * perSecond);
      lastMs = nowMs;
      if (tokens < 1) {
        return false;
      }
      tokens -= 1;
      return true;
    },
  };
}
