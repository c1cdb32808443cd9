// A CPU profile (`node --cpu-prof`) → where the time of the measured work went.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
  /** Of the machine's monotonic clock, in microseconds. */
  readonly startTime: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

const idle: readonly string[] = ["(idle)", "(root)"];
const shownFunctions = 20;
const shownPlaces = 8;

/**
 * The packages and the functions in which most time was spent themselves, callees not included: a line each, with the microseconds of a unit. The
 * main thread's only.
 * @param window when the measured work was done, by the machine's monotonic clock
 */
export function describeProfile(
  folder: string,
  window: readonly [fromUs: number, toUs: number],
  units: number,
): string {
  const [fromUs, toUs] = window;
  const name = readdirSync(folder).find((file) => file.endsWith(".cpuprofile"));
  if (name === undefined) throw new Error(`no profile in ${folder}`);
  const profile: CpuProfile = JSON.parse(readFileSync(join(folder, name), "utf8"));
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const functions = new Map<string, number>();
  const places = new Map<string, number>();
  let atUs = profile.startTime;
  for (const [index, id] of profile.samples.entries()) {
    atUs += profile.timeDeltas[index] ?? 0;
    const frame = nodes.get(id);
    if (frame === undefined || atUs < fromUs || atUs > toUs || idle.includes(frame.functionName)) continue;
    // A sample stands for the time until the next one.
    const us = Math.max(profile.timeDeltas[index + 1] ?? 0, 0);
    const file = shortFile(frame.url);
    add(
      functions,
      `${frame.functionName || "(anonymous)"}  ${file}${file === "" ? "" : `:${frame.lineNumber + 1}`}`,
      us,
    );
    add(places, file === "" ? frame.functionName : placeOf(file), us);
  }
  return [...top(places, shownPlaces, units), "", ...top(functions, shownFunctions, units)].join("\n");
}

function add(sums: Map<string, number>, key: string, us: number): void {
  sums.set(key, (sums.get(key) ?? 0) + us);
}

function top(sums: ReadonlyMap<string, number>, count: number, units: number): string[] {
  return [...sums]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([key, us]) => `${(us / units).toFixed(2).padStart(8)}  ${key.trimEnd()}`);
}

/** From the package on, or from the repository on. */
function shortFile(url: string): string {
  const path = url.replace(/^file:\/\//, "");
  const inPackage = path.lastIndexOf("/node_modules/");
  if (inPackage !== -1) return path.slice(inPackage + "/node_modules/".length);
  const repository = join(import.meta.dirname, "../..");
  return path.startsWith(repository) ? path.slice(repository.length + 1) : path;
}

function placeOf(file: string): string {
  if (file.startsWith("node:")) return "node";
  return file.split("/", file.startsWith("@") || file.startsWith("packages/") ? 2 : 1).join("/");
}
