// Waiting for a condition, with a deadline.
import { setTimeout as sleep } from "node:timers/promises";

export interface WaitOptions {
  readonly timeoutMs: number;
  /** What is waited for, as the error says it: "not within 5000 ms: the topic to exist". */
  readonly what: string | (() => string);
  /** Default 25. */
  readonly intervalMs?: number;
}

/**
 * Asks `condition` again and again until it answers something truthy, and returns that. A condition that throws counts as not yet.
 * @throws Error that names `what`, with the condition's last error as its cause, when time runs out.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const { timeoutMs, what, intervalMs = 25 } = options;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    const remainingMs = deadline - performance.now();
    const controller = new AbortController();
    const outOfTime: Promise<Attempt<T>> = sleep(Math.max(remainingMs, 0), {}, { signal: controller.signal });
    const outcome = await Promise.race([attempt(condition), outOfTime]);
    controller.abort();
    lastError = outcome.error ?? lastError;
    if (outcome.value) return outcome.value as Exclude<T, false | null | undefined | 0 | "">;
    if (performance.now() >= deadline) {
      const detail = lastError instanceof Error ? `; last error: ${lastError.message}` : "";
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === "string" ? what : what()}${detail}`, {
        cause: lastError,
      });
    }
    await sleep(Math.min(intervalMs, Math.max(deadline - performance.now(), 0)));
  }
}

interface Attempt<T> {
  readonly value?: T;
  readonly error?: unknown;
}

async function attempt<T>(condition: () => T | Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await condition() };
  } catch (error) {
    return { error };
  }
}
