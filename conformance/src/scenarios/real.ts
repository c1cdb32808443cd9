// What only the real parts can show.
import type { RealWorld } from "../worlds/real.ts";
import { badRecordScenarios } from "./bad-input/records.ts";
import { partsAwayScenarios } from "./parts-away.ts";
import { realPartScenarios } from "./real-parts.ts";
import { resumeAfterRestartScenarios } from "./resume.ts";

export function realScenarios(world: () => RealWorld): void {
  realPartScenarios(world);
  badRecordScenarios(world);
  partsAwayScenarios(world);
  resumeAfterRestartScenarios(world);
}
