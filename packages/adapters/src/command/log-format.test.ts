import { expect, test } from "vitest";
import { gatewayConfig, loadConfig } from "../config/index.ts";
import { logFormat } from "./log-format.ts";

const production = [
  "app_env=production",
  `jwt.secret=${"s".repeat(32)}`,
  "kafka.brokers=k:1",
  "coordinator.endpoints=e:1",
  "grpc.logic.timeout=5s",
];

test.each<[string, readonly string[], boolean, "json" | "pretty"]>([
  ["development on a terminal", [], true, "pretty"],
  ["development in a pipe", [], false, "json"],
  ["production on a terminal", production, true, "json"],
  ["production in a pipe", production, false, "json"],
  ["json on a terminal", ["log.format=json"], true, "json"],
  ["pretty in a pipe", ["log.format=pretty"], false, "pretty"],
  ["pretty in production", [...production, "log.format=pretty"], false, "pretty"],
])("%s", (_, set, onTerminal, format) => {
  expect(logFormat(loadConfig(gatewayConfig, { env: {}, set }), onTerminal)).toBe(format);
});
