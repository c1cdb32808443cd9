import { badRecordScenarios } from "./scenarios/bad-input/records.ts";
import { scenarios } from "./scenarios/index.ts";
import { partsAwayScenarios } from "./scenarios/parts-away.ts";
import { realPartScenarios } from "./scenarios/real-parts.ts";
import { realParts, startRealWorld } from "./worlds/real.ts";

scenarios(
  "Kafka, etcd, im-logic and two gateways",
  () => startRealWorld("im-gateway"),
  realParts,
  (world) => {
    realPartScenarios(world);
    badRecordScenarios(world);
    partsAwayScenarios(world);
  },
);
