// The gateway's HTTP port on Node: REST through Hono, WebSockets through ws.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { GatewayServer, ServerOptions } from "@im-gateway/adapters/command";
import { serveSockets } from "./sockets.ts";

/** Time for the headers, whatever the body may take: half-open requests are cheap to make. */
const headersTimeoutMs = 10_000;

/** How often connections are looked at for these two; Node's own is 30 s, which a request that drips would have on top. */
const timeoutCheckMs = 1000;

/** Resolves when the port is open. Rejects when it can not be had. */
export async function serveGateway(options: ServerOptions): Promise<GatewayServer> {
  const { gateway, log, wsPath = "/ws", maxFrameBytes = 64 * 1024 } = options;
  const { readTimeoutMs = 30_000, writeTimeoutMs = 30_000 } = options;
  const listener = getRequestListener(
    (request, { incoming }) => gateway.fetch(request, incoming.url === undefined ? {} : { rawPath: incoming.url }),
    { overrideGlobalObjects: false },
  );
  const server = createServer(
    {
      requestTimeout: readTimeoutMs,
      headersTimeout: Math.min(headersTimeoutMs, readTimeoutMs),
      connectionsCheckingInterval: timeoutCheckMs,
      // Others (h2c, which Java's HttpClient asks for) are answered as if they had not asked, RFC 9110 §7.8.
      shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === "websocket",
    },
    (incoming, outgoing) => {
      listener(incoming, outgoing).catch((error: unknown) => {
        log("error", "request failed", { error });
        outgoing.destroy();
      });
    },
  );
  server.timeout = writeTimeoutMs;
  // The server itself forgets a connection that was upgraded.
  const connections = new Set<Socket>();
  server.on("connection", (connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
  });
  serveSockets({ server, gateway, path: wsPath, maxFrameBytes, log });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: options.port, ...(options.host === undefined ? {} : { host: options.host }) }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const { address, port } = addressOf(server.address());
  return {
    host: address,
    port,
    close: (signal) =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        const cut = (): void => {
          for (const connection of connections) {
            connection.destroy();
          }
        };
        signal.addEventListener("abort", cut, { once: true });
        if (signal.aborted) {
          cut();
        }
      }),
  };
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === "string") {
    throw new Error("the server does not listen on a TCP port");
  }
  return address;
}
