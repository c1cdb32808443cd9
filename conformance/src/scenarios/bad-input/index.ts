// Every bad input of the contract: its own answer, counted, and nobody else notices.
import type { World } from "../../world.ts";
import { badFrameScenarios } from "./frames.ts";
import { badHttpScenarios } from "./http.ts";
import { slowClientScenarios } from "./slow-clients.ts";
import { badTokenScenarios } from "./tokens.ts";

export function badInputScenarios(world: () => World): void {
  badHttpScenarios(world);
  slowClientScenarios(world);
  badTokenScenarios(world);
  badFrameScenarios(world);
}
