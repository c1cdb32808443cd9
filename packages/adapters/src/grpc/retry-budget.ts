// How many calls may be made a second time: a share of all calls, so that an outage is not answered by twice the load.

export interface RetryBudget {
  /** A call begins. */
  earn(): void;
  /** @returns false when there is nothing left: the call has to fail */
  spend(): boolean;
}

/** What a repeated call costs: every call earns 1, so that a fifth may be repeated … */
const cost = 5;
/** … and one a second, where calls are few. */
const perSecond = cost;
const most = 20 * cost;

/** @param now monotonic milliseconds */
export function createRetryBudget(now: () => number): RetryBudget {
  let saved = most / 2;
  let lastMs = now();
  return {
    earn() {
      saved = Math.min(most, saved + 1);
    },
    spend() {
      const nowMs = now();
      saved = Math.min(most, saved + ((nowMs - lastMs) / 1000) * perSecond);
      lastMs = nowMs;
      if (saved < cost) {
        return false;
      }
      saved -= cost;
      return true;
    },
  };
}
