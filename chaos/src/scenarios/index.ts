// All scenarios, in the order of the report.
import { gatewayScenarios } from "../gateways/index.ts";
import type { Scenario } from "../scenario.ts";
import { brokerKilled } from "./broker-killed.ts";

export const scenarios: readonly Scenario[] = [brokerKilled, ...gatewayScenarios];
