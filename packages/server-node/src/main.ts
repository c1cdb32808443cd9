// The `im-gateway` command on Node.
import { getHeapStatistics } from "node:v8";
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
  heapShare() {
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
    return used / most;
  },
});
