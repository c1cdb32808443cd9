import { scenarios } from "./scenarios/index.ts";
import { realScenarios } from "./scenarios/real.ts";
import { realParts, startRealWorld } from "./worlds/real.ts";

scenarios(
  "Kafka, etcd, im-logic and two gateways on Bun",
  () => startRealWorld("im-gateway-bun"),
  realParts,
  realScenarios,
);
