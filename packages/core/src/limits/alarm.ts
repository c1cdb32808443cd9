// Whether a measure is over its bound for good: not for a moment, and not over again at once.

export interface Alarm {
  readonly raised: boolean;
  /** @param nowMs monotonic milliseconds */
  sample(value: number, nowMs: number): void;
}

export interface AlarmOptions {
  /** Raised when every sample of `holdMs` is at least this. */
  readonly raiseAt: number;
  /** Cleared when every sample of `holdMs` is below this. */
  readonly clearBelow: number;
  readonly holdMs: number;
}

export function createAlarm({ raiseAt, clearBelow, holdMs }: AlarmOptions): Alarm {
  let raised = false;
  /** Since when every sample has said the contrary. */
  let contrarySinceMs: number | undefined;
  return {
    get raised() {
      return raised;
    },
    sample(value, nowMs) {
      const contrary = raised ? value < clearBelow : value >= raiseAt;
      if (!contrary) {
        contrarySinceMs = undefined;
        return;
      }
      contrarySinceMs ??= nowMs;
      if (nowMs - contrarySinceMs >= holdMs) {
        raised = !raised;
        contrarySinceMs = undefined;
      }
    },
  };
}
