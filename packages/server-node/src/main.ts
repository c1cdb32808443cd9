// The `im-gateway` command on Node.
import { runGateway } from "@im-gateway/adapters/command";
import { createLogic } from "@im-gateway/logic";
import manifest from "../package.json" with { type: "json" };
import { serveGateway } from "./server.ts";

await runGateway({
  version: manifest.version,
  runtime: `node ${process.versions.node}`,
  serveGateway,
  createLogic,
  defer: setImmediate,
});
