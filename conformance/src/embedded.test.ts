import { scenarios } from "./scenarios/index.ts";
import { embeddedParts, startEmbeddedWorld } from "./worlds/embedded.ts";
import { gatewayCommands } from "./worlds/program.ts";

for (const command of gatewayCommands) {
  scenarios(`the embedded default of ${command}`, () => startEmbeddedWorld(command), embeddedParts);
}
