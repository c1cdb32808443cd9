// The end-to-end suite: the same scenarios against every world.
import { afterAll, beforeAll, describe } from "vitest";
import type { World } from "../world.ts";
import { accountScenarios } from "./accounts.ts";
import { messageScenarios } from "./messages.ts";
import { restartScenarios } from "./restarts.ts";
import { socketScenarios } from "./sockets.ts";

const startTimeoutMs = 120_000;

export function scenarios(name: string, start: () => Promise<World>, partNames: readonly string[]): void {
  describe(name, () => {
    let started: World | undefined;
    beforeAll(async () => {
      started = await start();
    }, startTimeoutMs);
    afterAll(async () => {
      await started?.stop();
    }, startTimeoutMs);
    const world = (): World => {
      if (started === undefined) {
        throw new Error("the world has not started");
      }
      return started;
    };

    accountScenarios(world);
    socketScenarios(world);
    messageScenarios(world);
    restartScenarios(world, partNames);
  });
}
