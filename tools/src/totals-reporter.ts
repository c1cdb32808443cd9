// A vitest reporter: the totals of the run as the very last line of the output.
import { writeSync } from "node:fs";
import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts tests. Whatever else went wrong is one failure each: a file that does not load, a hook that throws, an error that nobody
 * handled. A test that never ended (the run was interrupted) failed.
 */
export function countTotals(
  modules: readonly TestModule[],
  unhandledErrors: readonly unknown[],
  reason: TestRunEndReason,
): Totals {
  let passed = 0;
  let failed = unhandledErrors.length;
  let skipped = 0;
  for (const module of modules) {
    if (module.errors().length > 0) failed += 1;
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length > 0) failed += 1;
    }
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed") passed += 1;
      else if (state === "skipped") skipped += 1;
      else failed += 1;
    }
  }
  return { passed, failed: failed === 0 && reason !== "passed" ? 1 : failed, skipped };
}

/** `12 passed, 0 failed, 1 skipped` alone on a line, when the process exits and nothing more can follow. */
export default class TotalsReporter implements Reporter {
  #line: string | undefined;

  onInit(): void {
    process.once("exit", () => {
      if (this.#line !== undefined) writeSync(process.stdout.fd, `${this.#line}\n`);
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[], reason: TestRunEndReason): void {
    const { passed, failed, skipped } = countTotals(modules, unhandledErrors, reason);
    this.#line = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  }
}
