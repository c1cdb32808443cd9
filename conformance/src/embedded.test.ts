import { scenarios } from "./scenarios/index.ts";
import { embeddedParts, startEmbeddedWorld } from "./worlds/embedded.ts";

scenarios("the embedded default", () => startEmbeddedWorld("im-gateway"), embeddedParts);
