// Trying again: pauses that grow, and one line in the log when etcd goes and one when it is back.
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "@im-gateway/core";

export interface Outage {
  /**
   * Logs the first failure of an outage, then waits: longer after every one, up to 1 s, with full jitter. The signal
   * cuts the wait short.
   */
  failed(error: unknown, signal: AbortSignal): Promise<void>;
  /** Logs the end of an outage, if there was one. */
  passed(): void;
}

const firstPauseMs = 100;
const longestPauseMs = 1_000;

/** @param what names the work in the log */
export function createOutage(what: string, log: Log): Outage {
  let failures = 0;
  return {
    async failed(error, signal) {
      if (failures === 0) log("warn", `${what}: etcd does not answer, trying again`, { error });
      const ceilingMs = Math.min(firstPauseMs * 2 ** failures, longestPauseMs);
      failures += 1;
      await pause(Math.random() * ceilingMs, signal);
    },
    passed() {
      if (failures > 0) log("info", `${what}: etcd answers again`, { failures });
      failures = 0;
    },
  };
}

/** Resolves after `ms`, or when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
