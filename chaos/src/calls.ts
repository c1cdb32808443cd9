// REST calls at a steady rate beside the messages, and what became of them.

import { startLoad } from "./load.ts";
import { rest, type User } from "./people.ts";

/** Of calls that have ended. */
export interface Tally {
  readonly made: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** The first that failed. */
  readonly firstFailure: string | undefined;
}

export interface Calls {
  /** Of those that ended so far, in the window that is open. */
  readonly tally: Tally;
  /**
   * Ends the window, and begins the next. Resolves when every call that began in it has ended: one that hangs is not to pass for one that was
   * never made.
   */
  closeWindow(): Promise<Tally>;
  /** Makes no more; resolves when all have ended. */
  stop(): Promise<void>;
}

interface Window {
  made: number;
  failed: number;
  slowestMs: number;
  firstFailure: string | undefined;
  readonly underWay: Set<Promise<void>>;
}

const empty = (): Window => ({ made: 0, failed: 0, slowestMs: 0, firstFailure: undefined, underWay: new Set() });

/** GET /users/me, in turn over the bases. @param bases `http://host:port` */
export function startCalls(perSecond: number, bases: readonly string[], { token }: User): Calls {
  /** Each until its last call has ended. */
  const windows = new Set<Window>();
  let open = empty();
  windows.add(open);
  const call = async (base: string, its: Window): Promise<void> => {
    const startedMs = performance.now();
    let failure: string | undefined;
    try {
      await rest(base, "GET", "/users/me", { token });
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    its.made += 1;
    its.slowestMs = Math.max(its.slowestMs, performance.now() - startedMs);
    if (failure === undefined) return;
    its.failed += 1;
    its.firstFailure ??= failure;
  };
  const load = startLoad(perSecond, (index) => {
    const its = open;
    const one = call(bases[index % bases.length] ?? "", its);
    its.underWay.add(one);
    void one.finally(() => its.underWay.delete(one));
  });
  return {
    get tally() {
      return open;
    },
    async closeWindow() {
      const its = open;
      open = empty();
      windows.add(open);
      await Promise.all(its.underWay);
      windows.delete(its);
      return its;
    },
    async stop() {
      load.stop();
      await Promise.all([...windows].flatMap(({ underWay }) => [...underWay]));
    },
  };
}
