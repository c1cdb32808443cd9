import { expect, test } from "vitest";
import type { Sample } from "./measure.ts";
import { formatTable, type Pair, spread, summarize } from "./report.ts";
import { scenarios } from "./scenarios.ts";

function sample(cpuUs: number): Sample {
  return { cpuUs, generatorCpuUs: 0, bytesPerUnit: 0, seconds: 0, windowUs: [0, 0] };
}

test.each([
  [[5], { median: 5, min: 5, max: 5 }],
  [[10, 2, 9], { median: 9, min: 2, max: 10 }],
  [[4, 1, 3, 2], { median: 2.5, min: 1, max: 4 }],
])("the spread of %j", (values, expected) => {
  expect(spread(values)).toEqual(expected);
});

test("ratios are those of pairs, and the median decides about the goal", () => {
  const [scenario] = scenarios;
  if (scenario === undefined) throw new Error("no scenario");
  const pair = (gateway: number, control: number): Pair => ({ gateway: sample(gateway), control: sample(control) });
  // The machine was half as fast in the second pair, which a ratio does not see.
  const result = summarize(scenario, "a gateway", [pair(6, 10), pair(12, 20), pair(5, 10)]);
  expect(result.ratio).toEqual({ median: 0.6, min: 0.5, max: 0.6 });
  expect(result.met).toBe(true);
  expect(summarize(scenario, "a gateway", [pair(8, 10)]).met).toBe(false);
  expect(formatTable([result])).toMatch(/a gateway[\s\S]* 0\.60 \(0\.50–0\.60\) +≤ 0\.7 +met/);
});
