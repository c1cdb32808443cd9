// The `im-gateway` command on Bun.
import { runGateway } from "@im-gateway/adapters/command";
import { createLogic } from "@im-gateway/logic";
import manifest from "../package.json" with { type: "json" };
import { serveGateway } from "./server.ts";

await runGateway({
  version: manifest.version,
  runtime: `bun ${Bun.version}`,
  serveGateway,
  createLogic,
  defer: setImmediate,
});
