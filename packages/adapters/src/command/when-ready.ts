// Waits for the parts of a program, and says meanwhile what it waits for.
import type { Log } from "@im-gateway/core";

const lookMs = 25;
const sayMs = 5000;

/** Resolves to true when `unready` gives no reason any more, to false when the signal aborts first. */
export async function whenReady(unready: () => readonly string[], signal: AbortSignal, log: Log): Promise<boolean> {
  for (let waitedMs = lookMs; !signal.aborted; waitedMs += lookMs) {
    const reasons = unready();
    if (reasons.length === 0) {
      return true;
    }
    if (waitedMs % sayMs === 0) {
      log("warn", "waiting", { reasons });
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  return false;
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) {
      resolve();
    }
  });
}
