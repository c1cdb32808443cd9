// The embedded default: one process with everything in it. Its data is kept in a folder, so that a restart can be tried.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GatewayCommand, World } from "../world.ts";
import { createProgram, freeGateway } from "./program.ts";

export const embeddedParts: readonly string[] = ["gateway"];

export async function startEmbeddedWorld(command: GatewayCommand): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), "im-gateway-embedded-"));
  const { gateway, settings } = await freeGateway();
  const program = createProgram("gateway", command, [...settings, `data_dir=${dataDir}`], {
    holdsSockets: true,
    scratch: dataDir,
  });
  await program.start();
  return {
    command,
    gateways: [gateway, gateway],
    parts: [program],
    async stop() {
      await program.stop();
      await rm(dataDir, { recursive: true });
    },
  };
}
