// The gateway's HTTP port on Node: REST through Hono, WebSockets through ws.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener, RequestError } from "@hono/node-server";
import type { GatewayServer, ServerOptions } from "@im-gateway/adapters/command";
import type { Gateway } from "@im-gateway/core";
import { answerRaw } from "./raw-answer.ts";
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
    (request, { incoming }) => gateway.fetch(request, { rawPath: originForm(incoming.url ?? "/") }),
    {
      overrideGlobalObjects: false,
      // HTTP/1.0 has no need of a Host; without one in HTTP/1.1 the request is refused below.
      hostname: "localhost",
      errorHandler(error) {
        if (error instanceof RequestError) {
          return gateway.refuse("malformed");
        }
        throw error;
      },
    },
  );
  const latest = new WeakMap<Duplex, { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse }>();
  /** Of pipelined requests, an earlier one: an answer that is not Node's own would overtake it. */
  const isAnswering = (tcp: Duplex): boolean => {
    const before = latest.get(tcp);
    return before?.incoming.complete === true && !before.outgoing.writableFinished;
  };
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    if (incoming.httpVersion === "1.1" && incoming.headers.host === undefined) {
      if (isAnswering(incoming.socket)) {
        incoming.socket.destroy();
        return;
      }
      void answerRaw(incoming.socket, gateway.refuse("malformed"));
      return;
    }
    latest.set(incoming.socket, { incoming, outgoing });
    listener(incoming, outgoing).catch((error: unknown) => {
      log("error", "request failed", { error });
      outgoing.destroy();
    });
  };
  const server = createServer(
    {
      requestTimeout: readTimeoutMs,
      headersTimeout: Math.min(headersTimeoutMs, readTimeoutMs),
      connectionsCheckingInterval: timeoutCheckMs,
      requireHostHeader: false,
      // Others (h2c, which Java's HttpClient asks for) are answered as if they had not asked, RFC 9110 §7.8.
      shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === "websocket",
    },
    onRequest,
  );
  // By itself Node would answer an expectation that it does not know, RFC 9110 §10.1.1, in its own words.
  server.on("checkExpectation", onRequest);
  server.on("clientError", (error: NodeJS.ErrnoException, tcp: Socket) => {
    const why = unreadable[error.code ?? ""] ?? (error.code?.startsWith("HPE_") ? "malformed" : undefined);
    const before = latest.get(tcp)?.outgoing;
    // In the middle of an answer another one would be part of it.
    if (why === undefined || !tcp.writable || isAnswering(tcp) || (before?.headersSent && !before.writableFinished)) {
      tcp.destroy();
    } else {
      void answerRaw(tcp, gateway.refuse(why));
    }
  });
  server.timeout = writeTimeoutMs;
  // The server itself forgets a connection that was upgraded.
  const connections = new Set<Socket>();
  server.on("connection", (connection) => {
    connections.add(connection);
    connection.once("close", () => connections.delete(connection));
  });
  serveSockets({ server, gateway, path: wsPath, maxFrameBytes, log, isAnswering });
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

const unreadable: Readonly<Record<string, Parameters<Gateway["refuse"]>[0]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: "too-slow",
  HPE_HEADER_OVERFLOW: "headers-too-large",
};

/** Path and query of a request target, which may be a whole URL (RFC 9112 §3.2.2). */
function originForm(target: string): string {
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  return path.startsWith("/") ? path : `/${path}`;
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (address === null || typeof address === "string") {
    throw new Error("the server does not listen on a TCP port");
  }
  return address;
}
