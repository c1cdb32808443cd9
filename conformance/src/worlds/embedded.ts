// The embedded default: one process with everything in it. Its data is kept in a folder, so that a restart can be tried.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GatewayCommand, World } from "../world.ts";
import { createProgram, freeAddress } from "./program.ts";

export const embeddedParts: readonly string[] = ["gateway"];

export async function startEmbeddedWorld(command: GatewayCommand): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), "im-gateway-embedded-"));
  const address = await freeAddress();
  const metrics = await freeAddress();
  const set = [`server.http_addr=${address}`, `metrics.addr=${metrics}`, `data_dir=${dataDir}`];
  const gateway = createProgram("gateway", command, set, { holdsSockets: true, scratch: dataDir });
  await gateway.start();
  const one = { http: `http://${address}`, ws: `ws://${address}/ws`, metrics: `http://${metrics}/metrics` };
  return {
    command,
    gateways: [one, one],
    parts: [gateway],
    async stop() {
      await gateway.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}
