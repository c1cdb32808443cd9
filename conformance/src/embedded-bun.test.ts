import { scenarios } from "./scenarios/index.ts";
import { embeddedParts, startEmbeddedWorld } from "./worlds/embedded.ts";

scenarios("the embedded default on Bun", () => startEmbeddedWorld("im-gateway-bun"), embeddedParts);
