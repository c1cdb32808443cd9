// The port that Prometheus scrapes.
import { createServer } from "node:http";
import type { Log } from "@im-gateway/core";

export interface MetricsServerOptions {
  /** The text of /metrics. */
  readonly render: () => Promise<string>;
  readonly contentType: string;
  /** Host "" is every interface, port 0 a free one. */
  readonly addr: { readonly host: string; readonly port: number };
  readonly log: Log;
}

export interface MetricsServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects with what `listen` says, EADDRINUSE for one. */
export async function serveMetrics({ render, contentType, addr, log }: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer(async (request, response) => {
    if ((request.url ?? "").split("?")[0] !== "/metrics") {
      response.writeHead(404).end("/metrics is here\n");
      return;
    }
    try {
      const body = await render();
      response.writeHead(200, { "content-type": contentType }).end(body);
    } catch (error) {
      log("error", "metrics could not be read", { error });
      response.writeHead(500).end();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(addr.port, addr.host === "" ? undefined : addr.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const bound = server.address();
  const { address, port } =
    bound !== null && typeof bound === "object" ? bound : { address: addr.host, port: addr.port };
  return {
    host: address,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
