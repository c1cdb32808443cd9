// All scenarios, in the order of the report.
import type { Scenario } from "../scenario.ts";
import { brokerKilled } from "./broker-killed.ts";

export const scenarios: readonly Scenario[] = [brokerKilled];
