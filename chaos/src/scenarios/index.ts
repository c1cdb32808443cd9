// All scenarios, in the order of the report.
import { gatewayScenarios } from "../gateways/index.ts";
import type { Scenario } from "../scenario.ts";
import { brokerFrozen } from "./broker-frozen.ts";
import { brokerKilled } from "./broker-killed.ts";
import { etcdAway } from "./etcd-away.ts";
import { leaderKilled } from "./leader-killed.ts";
import { logicEndpoints } from "./logic-endpoints.ts";
import { logicKilled } from "./logic-killed.ts";
import { overload } from "./overload.ts";
import { replyDropped } from "./reply-dropped.ts";

export const scenarios: readonly Scenario[] = [
  brokerKilled,
  leaderKilled,
  brokerFrozen,
  replyDropped,
  logicKilled,
  ...logicEndpoints,
  ...etcdAway,
  ...gatewayScenarios,
  overload,
];
