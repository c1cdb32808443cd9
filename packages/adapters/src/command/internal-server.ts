// The internal port: what back ends call on this gateway.
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Gateway, Log } from "@im-gateway/core";
import { type ListenAddress, listen } from "./listen.ts";

export interface InternalServerOptions {
  readonly gateway: Gateway;
  readonly addr: ListenAddress;
  /** Time for a whole request to arrive. */
  readonly readTimeoutMs: number;
  readonly log: Log;
}

export interface InternalServer extends ListenAddress {
  /** Takes no new connection; resolves when the last answer is out. */
  close(): Promise<void>;
}

/** Rejects with what `listen` says, EADDRINUSE for one. */
export async function serveInternal(options: InternalServerOptions): Promise<InternalServer> {
  const { gateway, addr, readTimeoutMs, log } = options;
  const listener = getRequestListener(
    (request, { incoming }) => gateway.internal(request, { rawPath: incoming.url ?? "/" }),
    { overrideGlobalObjects: false, hostname: "localhost" },
  );
  const server = createServer({ requestTimeout: readTimeoutMs }, (incoming, outgoing) => {
    listener(incoming, outgoing).catch((error: unknown) => {
      log("error", "request failed", { error });
      outgoing.destroy();
    });
  });
  const { host, port } = await listen(server, addr);
  return {
    host,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}
