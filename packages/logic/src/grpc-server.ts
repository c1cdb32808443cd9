// im-logic's door for gateways: gRPC (and Connect) over HTTP/2 without TLS.
import { createServer, type ServerHttp2Session } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Log } from "@im-gateway/core";

export interface GrpcServerOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** Port 0 takes a free one. */
  readonly addr: { readonly host: string; readonly port: number };
  readonly log: Log;
}

export interface GrpcServer {
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };
  /**
   * Takes no new calls, and lets those that run finish. @param deadlineMs after it, what still runs is cut off; default 5000
   */
  close(deadlineMs?: number): Promise<void>;
}

/** Rejects with what `listen` says, EADDRINUSE for one. */
export async function createGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { routes, addr, log } = options;
  const server = createServer(connectNodeAdapter({ routes, readMaxBytes: 4 * 1024 * 1024 }));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.on("sessionError", (error) => log("warn", "a gRPC session failed", { error }));

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(addr.port, addr.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", (error) => log("error", "the gRPC server failed", { error }));
  const bound = server.address();
  const port = bound !== null && typeof bound === "object" ? bound.port : addr.port;

  function close(deadlineMs = 5000): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        for (const session of sessions) {
          session.destroy();
        }
      }, deadlineMs);
      server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      // GOAWAY: each ends with its last open stream. Newer versions of Node do this in server.close.
      for (const session of sessions) {
        session.close();
      }
    });
  }

  return { address: { host: addr.host, port }, close };
}
