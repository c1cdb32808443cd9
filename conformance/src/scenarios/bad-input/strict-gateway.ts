// A gateway of its own with short limits and an issuer, so that nothing has to be waited for long.

import { asRecord } from "../../client.ts";
import type { GatewayAddress, GatewayCommand } from "../../world.ts";
import { launch } from "../../worlds/program.ts";

export const strict = { issuer: "conformance", readTimeoutMs: 1000, authTimeoutMs: 500 } as const;

export interface StrictGateway extends GatewayAddress {
  stop(): Promise<void>;
}

/** @param more `key=value` for `--set` */
export async function startStrictGateway(
  command: GatewayCommand,
  more: readonly string[] = [],
): Promise<StrictGateway> {
  const program = launch("the strict gateway", command, [
    "server.http_addr=127.0.0.1:0",
    `server.read_timeout=${strict.readTimeoutMs}ms`,
    `websocket.auth_timeout=${strict.authTimeoutMs}ms`,
    `jwt.issuer=${strict.issuer}`,
    ...more,
  ]);
  const line = await program.waitForLine(/"message":"listening"/, 30_000);
  const { http_addr, metrics_addr, internal_addr } = asRecord(JSON.parse(line));
  return {
    http: `http://${http_addr}`,
    ws: `ws://${http_addr}/ws`,
    metrics: `http://${metrics_addr}/metrics`,
    internal: `http://${internal_addr}`,
    async stop() {
      const { code } = await program.stop();
      if (code !== 0) {
        throw new Error(`the strict gateway ended with ${code}:\n${program.output.join("\n")}`);
      }
    },
  };
}
