// What only the real parts can show.
import type { RealWorld } from "../worlds/real.ts";
import { badRecordScenarios } from "./bad-input/records.ts";
import { drainScenarios } from "./drain.ts";
import { partsAwayScenarios } from "./parts-away.ts";
import { realPartScenarios } from "./real-parts.ts";
import { realPresenceScenarios } from "./real-presence.ts";
import { resumeAfterRestartScenarios } from "./resume.ts";
import { takeoverScenarios } from "./takeover.ts";

export function realScenarios(world: () => RealWorld): void {
  realPartScenarios(world);
  drainScenarios(world);
  realPresenceScenarios(world);
  takeoverScenarios(world);
  badRecordScenarios(world);
  partsAwayScenarios(world);
  resumeAfterRestartScenarios(world);
}
