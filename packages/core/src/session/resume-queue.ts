// Thousands of clients resume at once when a gateway was lost: so many are asked for at a time, the others wait in order.
import { Code } from "@connectrpc/connect";
import { failure } from "../errors.ts";

export interface ResumeQueue {
  /**
   * @param wanted asked when its turn comes: who does not want it any more takes no place
   * @throws ConnectError resource_exhausted after too long a wait; canceled when it was not wanted any more
   */
  run<T>(work: () => Promise<T>, wanted: () => boolean): Promise<T>;
}

export interface ResumeQueueOptions {
  /** Default: 64. */
  readonly maxRunning?: number;
  /** Looked at when a place is free, so work has to end by a deadline of its own. Default: 15 s. */
  readonly maxWaitMs?: number;
  readonly now: () => number;
}

interface Waiting {
  readonly sinceMs: number;
  readonly wanted: () => boolean;
  /** Undefined: go. */
  readonly proceed: (refusal: Error | undefined) => void;
}

export function createResumeQueue({ maxRunning = 64, maxWaitMs = 15_000, now }: ResumeQueueOptions): ResumeQueue {
  let running = 0;
  let waiting: Waiting[] = [];
  /** Where `waiting` begins. */
  let head = 0;

  const next = (): void => {
    while (running < maxRunning) {
      const first = waiting[head];
      if (first === undefined) {
        waiting = [];
        head = 0;
        return;
      }
      head += 1;
      if (!first.wanted()) {
        first.proceed(failure(Code.Canceled, "CONNECTION_CLOSED", "the connection is closed"));
      } else if (now() - first.sinceMs > maxWaitMs) {
        first.proceed(failure(Code.ResourceExhausted, "OVERLOADED", "too many resume at once"));
      } else {
        running += 1;
        first.proceed(undefined);
      }
    }
  };

  return {
    async run(work, wanted) {
      await new Promise<void>((resolve, reject) => {
        const proceed = (refusal: Error | undefined): void => (refusal === undefined ? resolve() : reject(refusal));
        waiting.push({ sinceMs: now(), wanted, proceed });
        next();
      });
      try {
        return await work();
      } finally {
        running -= 1;
        next();
      }
    },
  };
}
