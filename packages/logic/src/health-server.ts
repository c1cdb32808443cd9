// im-logic's HTTP port: is it alive, can it do its job, and what has it done.
import { createServer, type ServerResponse } from "node:http";
import { type ListenAddress, listen } from "@im-gateway/adapters/command";
import type { ServiceMetrics } from "@im-gateway/adapters/metrics";
import type { Log } from "@im-gateway/core";

export interface HealthServerOptions {
  readonly instance: string;
  readonly version: string;
  /** Why it is not ready; empty when it is. */
  readonly unready: () => readonly string[];
  readonly metrics: ServiceMetrics;
  readonly log: Log;
  readonly addr: ListenAddress;
}

export interface HealthServer {
  readonly address: ListenAddress;
  close(): Promise<void>;
}

/** Rejects with what `listen` says, EADDRINUSE for one. */
export async function createHealthServer({
  instance,
  version,
  unready,
  metrics,
  log,
  addr,
}: HealthServerOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0];
    if (path === "/health") {
      answer(response, 200, { status: "ok", instance, version });
    } else if (path === "/ready") {
      const reasons = unready();
      answer(response, reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
    } else if (path === "/metrics") {
      metrics.render().then(
        (text) => response.writeHead(200, { "content-type": metrics.contentType }).end(text),
        (error: unknown) => {
          log("error", "metrics could not be read", { error });
          answer(response, 500, { code: "internal", message: "metrics could not be read" });
        },
      );
    } else {
      answer(response, 404, { code: "not_found", message: "/health, /ready and /metrics are here" });
    }
  });
  const address = await listen(server, addr);
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
