// The short form of every scenario.
import { expect, test } from "vitest";
import { describe as inWords } from "./report.ts";
import { runScenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";

test.each(scenarios)("$name", { timeout: 120_000 }, async (scenario) => {
  const result = await runScenario(scenario, { scale: "short", progress: () => {} });
  expect(result.passed, `${inWords(result)}\n${JSON.stringify(result.figures?.account)}`).toBe(true);
});
