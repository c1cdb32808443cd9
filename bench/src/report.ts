// Samples → medians, ratios and the table.
import type { Sample } from "./measure.ts";
import type { Scenario } from "./scenarios.ts";

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Two runs, one right after the other. */
export interface Pair {
  readonly gateway: Sample;
  readonly control: Sample;
}

export interface Result {
  readonly scenario: string;
  /** The gateway's launcher. */
  readonly gateway: string;
  readonly title: string;
  readonly unit: string;
  readonly units: number;
  /** CPU µs a unit. */
  readonly gatewayCpuUs: Spread;
  readonly controlCpuUs: Spread;
  /** Gateway ÷ control, pair by pair. */
  readonly ratio: Spread;
  readonly goal: number;
  /** The median ratio is within the goal. */
  readonly met: boolean;
  readonly pairs: readonly Pair[];
}

/** @param pairs at least one */
export function summarize(
  { name, title, unit, units, goal }: Scenario,
  gatewayName: string,
  pairs: readonly Pair[],
): Result {
  const ratio = spread(pairs.map(({ gateway, control }) => gateway.cpuUs / control.cpuUs));
  return {
    scenario: name,
    gateway: gatewayName,
    title,
    unit,
    units,
    gatewayCpuUs: spread(pairs.map(({ gateway }) => gateway.cpuUs)),
    controlCpuUs: spread(pairs.map(({ control }) => control.cpuUs)),
    ratio,
    goal,
    met: ratio.median <= goal,
    pairs,
  };
}

/** Of at least one value. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}

export function formatTable(results: readonly Result[]): string {
  const rows = [
    ["CPU µs of the server, median (min–max)", "", "gateway", "ws + kafkajs", "ratio", "goal", ""],
    ...results.map(({ title, gateway, unit, gatewayCpuUs, controlCpuUs, ratio, goal, met }) => [
      `${title}: per ${unit}`,
      gateway,
      formatSpread(gatewayCpuUs, 1),
      formatSpread(controlCpuUs, 1),
      formatSpread(ratio, 2),
      `≤ ${goal}`,
      met ? "met" : "missed",
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function formatSpread({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}
