// The end-to-end suite: the same scenarios against every world.
import { afterAll, beforeAll, describe, test } from "vitest";
import type { World } from "../world.ts";
import { accountScenarios } from "./accounts.ts";
import { badInputScenarios } from "./bad-input/index.ts";
import { documentScenarios } from "./documents.ts";
import { friendScenarios } from "./friends.ts";
import { groupScenarios } from "./groups.ts";
import { historyScenarios } from "./history.ts";
import { expectCleanLogs, logScenarios } from "./logs.ts";
import { messageScenarios } from "./messages.ts";
import { metricScenarios } from "./metrics.ts";
import { overloadScenarios } from "./overload.ts";
import { presenceScenarios } from "./presence.ts";
import { pushScenarios } from "./push.ts";
import { restartScenarios } from "./restarts.ts";
import { resumeScenarios } from "./resume.ts";
import { slowSocketScenarios } from "./slow-sockets.ts";
import { socketScenarios } from "./sockets.ts";
import { twoDoorScenarios } from "./two-doors.ts";

const startTimeoutMs = 120_000;

/** @param more further scenarios of this world alone */
export function scenarios<W extends World>(
  name: string,
  start: () => Promise<W>,
  partNames: readonly string[],
  more: (world: () => W) => void = () => {},
): void {
  describe(name, () => {
    let started: W | undefined;
    beforeAll(async () => {
      started = await start();
    }, startTimeoutMs);
    afterAll(async () => {
      await started?.stop();
    }, startTimeoutMs);
    const world = (): W => {
      if (started === undefined) {
        throw new Error("the world has not started");
      }
      return started;
    };

    accountScenarios(world);
    socketScenarios(world);
    slowSocketScenarios(world);
    overloadScenarios(world);
    messageScenarios(world);
    pushScenarios(world);
    resumeScenarios(world);
    twoDoorScenarios(world);
    historyScenarios(world);
    friendScenarios(world);
    presenceScenarios(world);
    groupScenarios(world);
    metricScenarios(world);
    documentScenarios(world);
    badInputScenarios(world);
    more(world);
    logScenarios(world);
    restartScenarios(world, partNames);

    test(
      "nothing that any program wrote, from its first line to its last, has a secret or a control character",
      async () => {
        await started?.stop();
        started = undefined;
        expectCleanLogs();
      },
      startTimeoutMs,
    );
  });
}
