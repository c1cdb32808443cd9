// The port that Prometheus scrapes.
import { createServer } from "node:http";
import type { Log } from "@im-gateway/core";
import { type ListenAddress, listen } from "../command/listen.ts";

export interface MetricsServerOptions {
  /** The text of /metrics. */
  readonly render: () => Promise<string>;
  readonly contentType: string;
  readonly addr: ListenAddress;
  readonly log: Log;
}

export interface MetricsServer extends ListenAddress {
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
  const { host, port } = await listen(server, addr);
  return {
    host,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
