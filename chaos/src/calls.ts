// REST calls at a steady rate beside the messages, and what became of them.

import { startLoad } from "./load.ts";
import { rest, type User } from "./people.ts";

export interface Calls {
  readonly made: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** The first that failed since `reset`. */
  readonly firstFailure: string | undefined;
  /** Counts from zero, and only calls that begin later. */
  reset(): void;
  /** Resolves when all that have begun by now have ended, and so are counted. */
  ended(): Promise<void>;
  /** Begins no more; resolves when all have ended. */
  stop(): Promise<void>;
}

/** GET /users/me, in turn over the bases. @param bases `http://host:port` */
export function startCalls(perSecond: number, bases: readonly string[], { token }: User): Calls {
  const underWay = new Set<Promise<void>>();
  let made = 0;
  let failed = 0;
  let slowestMs = 0;
  let firstFailure: string | undefined;
  let generation = 0;
  const call = async (base: string): Promise<void> => {
    const startedMs = performance.now();
    const its = generation;
    let failure: string | undefined;
    try {
      await rest(base, "GET", "/users/me", { token });
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    // It began under what was before.
    if (its !== generation) return;
    made += 1;
    slowestMs = Math.max(slowestMs, performance.now() - startedMs);
    if (failure === undefined) return;
    failed += 1;
    firstFailure ??= failure;
  };
  const load = startLoad(perSecond, (index) => {
    const one = call(bases[index % bases.length] ?? "");
    underWay.add(one);
    void one.finally(() => underWay.delete(one));
  });
  return {
    get made() {
      return made;
    },
    get failed() {
      return failed;
    },
    get slowestMs() {
      return slowestMs;
    },
    get firstFailure() {
      return firstFailure;
    },
    reset() {
      generation += 1;
      made = 0;
      failed = 0;
      slowestMs = 0;
      firstFailure = undefined;
    },
    async ended() {
      await Promise.all(underWay);
    },
    async stop() {
      load.stop();
      await Promise.all(underWay);
    },
  };
}
