// Every bad input of the contract: its own answer, counted, and nobody else notices.
import type { World } from "../../world.ts";
import { badHttpScenarios } from "./http.ts";

export function badInputScenarios(world: () => World): void {
  badHttpScenarios(world);
}
