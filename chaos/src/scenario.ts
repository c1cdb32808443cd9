// What a scenario is, and how one is run to its end whatever happens in it.
import type { Account } from "./account.ts";

export interface Scenario {
  /** What `make chaos ARGS=…` calls it. */
  readonly name: string;
  /** What is done to which part. */
  readonly title: string;
  /** What must hold. */
  readonly promise: string;
  /** What a short run is held to, where that is less than the promise. */
  readonly shortPromise?: string;
  /** Rejects when it could not be carried out; what did not hold is a failure among its figures. */
  run(context: Context): Promise<Figures>;
}

export interface Context {
  /** `short`: fewer rounds and connections, about 10 s; the same promise, or the scenario's `shortPromise`. */
  readonly scale: "full" | "short";
  progress(line: string): void;
  /** Where the output of every program is left. Default: nowhere. */
  readonly logs?: string | undefined;
  /** Run at the end, the last one first, whatever happened. */
  defer(cleanup: () => Promise<void> | void): void;
}

export interface Figures {
  readonly account: Account;
  /** By name, with its unit: `"longest ack stall, ms": 1820`. */
  readonly further: Readonly<Record<string, number | string>>;
  /** What must hold and did not. */
  readonly failures: readonly string[];
}

export interface Result {
  readonly name: string;
  readonly title: string;
  /** Of this scale: never more than what the run was held to. */
  readonly promise: string;
  readonly scale: Context["scale"];
  readonly seconds: number;
  readonly figures?: Figures;
  /** Why it could not be carried out. */
  readonly error?: string;
  readonly passed: boolean;
}

export async function runScenario(
  scenario: Scenario,
  { scale, progress, logs }: Pick<Context, "scale" | "progress" | "logs">,
): Promise<Result> {
  const startedMs = performance.now();
  const cleanups: (() => Promise<void> | void)[] = [];
  const promise = scale === "short" ? (scenario.shortPromise ?? scenario.promise) : scenario.promise;
  // A title has the numbers of the full form.
  const title = scale === "short" ? `short form of: ${scenario.title}` : scenario.title;
  const about = { name: scenario.name, title, promise, scale };
  const seconds = (): number => Math.round((performance.now() - startedMs) / 100) / 10;
  let outcome: Pick<Result, "figures" | "error">;
  try {
    outcome = {
      figures: await scenario.run({
        scale,
        logs,
        progress: (line) => progress(`${scenario.name} ${seconds()} s: ${line}`),
        defer: (cleanup) => void cleanups.push(cleanup),
      }),
    };
  } catch (error) {
    outcome = { error: messageOf(error) };
  }
  for (const cleanup of cleanups.reverse()) {
    try {
      await cleanup();
    } catch (error) {
      outcome = { ...outcome, error: outcome.error ?? `at the end: ${messageOf(error)}` };
    }
  }
  const passed = outcome.error === undefined && outcome.figures?.failures.length === 0;
  return { ...about, seconds: seconds(), ...outcome, passed };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
